import type { ProxyOptions } from '../platform/egress/proxy-rules.ts';
import type { PartReader } from '../platform/yaml/yaml-schema.ts';
import type { Environment } from './environment.ts';
import type { EgressSettings } from './schema.ts';
import { parseProxy } from './values.ts';

/** The way in which connections leave the company's network. */
export interface Egress {
  readonly https?: Proxy;
  readonly http?: Proxy;
  /** The hosts to which connections are direct. */
  readonly noProxy: readonly string[];
  /** A file of authorities that are trusted in addition to the usual ones. */
  readonly ca?: string;
}

export interface Proxy extends ProxyOptions {
  /** The key or the variable that sets it. */
  readonly setBy: string;
}

/** The variables in the order of Go's programs, including docker: the first that is set counts. */
const VARIABLES = {
  https: ['HTTPS_PROXY', 'https_proxy'],
  http: ['HTTP_PROXY', 'http_proxy'],
  noProxy: ['NO_PROXY', 'no_proxy'],
} as const;

/** Reads the settings of `egress`, which override the variables of the environment. */
export function readEgress(
  parts: PartReader,
  given: EgressSettings,
  environment: Environment,
  at: (file: string) => string,
): Egress {
  const { proxy, noProxy, ca } = given;
  const login = loginOf(parts, given, at);
  const named = proxy && { url: proxy.url, setBy: 'egress.proxy', ...(login && { login }) };
  const https = named ?? proxyIn(parts, environment, VARIABLES.https);
  const http = named ?? proxyIn(parts, environment, VARIABLES.http);
  const except = noProxy ?? firstOf(environment, VARIABLES.noProxy)?.value.split(/[\s,]+/) ?? [];
  return {
    ...(https && { https }),
    ...(http && { http }),
    noProxy: except.map((entry) => entry.trim()).filter((entry) => entry !== ''),
    ...(ca !== undefined && { ca: at(ca) }),
  };
}

function loginOf(
  parts: PartReader,
  { proxy, username, passwordFile }: EgressSettings,
  at: (file: string) => string,
): ProxyOptions['login'] {
  const isPair = (username === undefined) === (passwordFile === undefined);
  if (!isPair || (username !== undefined && proxy === undefined))
    parts.fault(['egress'], 'proxy, username and passwordFile belong together', 'key');
  else if (username !== undefined && proxy?.login !== undefined)
    parts.fault(['egress', 'username'], 'the proxy has a login in its address already; remove one of them');
  if (username === undefined || passwordFile === undefined) return proxy?.login;
  return { username, passwordFile: at(passwordFile) };
}

function proxyIn(
  parts: PartReader,
  environment: Environment,
  variables: readonly string[],
): Proxy | undefined {
  const found = firstOf(environment, variables);
  if (found === undefined) return undefined;
  const proxy = parseProxy(found.value);
  // The message omits the value, which may contain a password.
  if (proxy !== undefined) return { ...proxy, setBy: found.variable };
  const message =
    'it is not the address of an HTTP proxy, such as http://proxy.corp:3128; correct it, or set egress.proxy';
  parts.faults.push({ source: found.variable, message });
  return undefined;
}

function firstOf(environment: Environment, variables: readonly string[]) {
  for (const variable of variables) {
    const value = environment[variable]?.trim() ?? '';
    if (value !== '') return { variable, value };
  }
  return undefined;
}

/** Describes the proxies for people, without their logins. Empty if there are none. */
export function describeEgress({ https, http, noProxy }: Egress): string {
  const one = https?.url === http?.url;
  const names = [
    https && `${https.url} (${https.setBy})`,
    !one && http && `for http:// ${http.url} (${http.setBy})`,
  ].filter((name) => name !== undefined && name !== false);
  if (names.length === 0) return '';
  return `${names.join(', ')}${noProxy.length === 0 ? '' : `, except for ${noProxy.join(', ')}`}`;
}

/** An egress without proxies, for roles that connect to nobody outside. */
export const NO_EGRESS: Egress = { noProxy: [] };
