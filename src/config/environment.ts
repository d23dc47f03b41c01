import type { z } from 'zod';
import type { Fault } from '../platform/fault.ts';
import { isObject, propertyOf } from '../platform/object-properties.ts';
import type { WritableYaml, YamlDocument } from '../platform/yaml/yaml-document.ts';
import { DOCKER_HUB } from '../registry/repository.ts';
import { CLUSTER_KEYS } from './cluster.ts';
import { OBJECTS_KEYS } from './cluster-objects.ts';
import { FEDERATION_KEYS } from './federation.ts';
import { HOSTED_KEYS } from './hosted.ts';
import { LDAP_KEYS, LOGIN_KEYS, OIDC_KEYS } from './login.ts';
import { SECTIONS, UPSTREAM_KEYS } from './schema.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

type SettingPath = readonly string[];

const PREFIX = 'HUBGATE_';

/** Names the home, as `--home` does, for every verb. It is not a setting of the file in that home. */
const HOME_VARIABLE = 'HUBGATE_HOME';

/** The variables of the `registry` image in proxy mode, for people who migrate from it. */
const REGISTRY_VARIABLES: Readonly<Record<string, SettingPath>> = {
  REGISTRY_PROXY_REMOTEURL: ['upstreams', DOCKER_HUB, 'url'],
  REGISTRY_PROXY_USERNAME: ['upstreams', DOCKER_HUB, 'username'],
  REGISTRY_PROXY_PASSWORD: ['upstreams', DOCKER_HUB, 'password'],
};

/** True if this variable sets something of Hubgate's. */
function isSetting(variable: string): boolean {
  return (variable.startsWith(PREFIX) && variable !== HOME_VARIABLE) || variable in REGISTRY_VARIABLES;
}

/**
 * Returns the document with the values of the environment in it. `HUBGATE_CACHE_TAG_FRESHNESS` stands for
 * `cache.tagFreshness`, and a fault in such a value names the variable instead of a line.
 */
export function overlay(
  yaml: WritableYaml,
  environment: Environment,
): { yaml: YamlDocument; faults: Fault[] } {
  const variables = variablesFor(
    upstreamsIn(yaml.data),
    namesUnder(yaml.data, 'federation'),
    loginsIn(yaml.data),
  );
  const sources = new Map<string, string>();
  const faults: Fault[] = [];
  for (const [variable, value] of Object.entries(environment)) {
    if (value === undefined || !isSetting(variable)) continue;
    const path = variables.get(variable);
    if (path === undefined) {
      if (isOfKubernetes(variable, value)) continue;
      faults.push({
        source: variable,
        message: 'no setting has this name; see docs/configuration.md for those that do',
      });
      continue;
    }
    try {
      yaml.document.setIn(path, value);
      sources.set(path.join('\0'), variable);
    } catch {
      // The file has something else in place of the section, which is reported as another fault.
    }
  }
  if (sources.size === 0) return { yaml, faults };
  const faultAt: YamlDocument['faultAt'] = (path, message, part) => {
    const source = sources.get(path.map(String).join('\0'));
    return source === undefined ? yaml.faultAt(path, message, part) : { source, message };
  };
  return { yaml: { ...yaml, data: yaml.document.toJS(), faultAt }, faults };
}

/**
 * True for a variable that Kubernetes sets in every container beside a service named `hubgate` or
 * `hubgate-…`.
 */
function isOfKubernetes(variable: string, value: string): boolean {
  if (/_PORT$/.test(variable) && /^(?:tcp|udp|sctp):/.test(value)) return true;
  return /^HUBGATE_(?:\w+_)?(?:SERVICE_(?:HOST|PORT\w*)|PORT_\d+_\w+)$/.test(variable);
}

/** Returns the keys that a variable can set. A list or a map cannot be written in a variable. */
export function scalarsOf(keys: Readonly<Record<string, z.ZodType>>): string[] {
  return Object.keys(keys).filter(
    (key) => ![[], {}].some((value) => keys[key]?.safeParse(value).success ?? false),
  );
}

function variablesFor(
  upstreams: readonly string[],
  federations: readonly string[],
  logins: readonly SettingPath[],
): ReadonlyMap<string, SettingPath> {
  const paths: SettingPath[] = [
    ...Object.entries(SECTIONS).flatMap(([name, keys]) => scalarsOf(keys).map((key) => [name, key])),
    ...Object.keys(HOSTED_KEYS).map((key) => ['hosted', key]),
    ...scalarsOf(CLUSTER_KEYS).map((key) => ['cluster', key]),
    ...Object.keys(OBJECTS_KEYS).map((key) => ['cluster', 'objects', key]),
    ...upstreams.flatMap((host) => scalarsOf(UPSTREAM_KEYS).map((key) => ['upstreams', host, key])),
    ...federations.flatMap((name) => Object.keys(FEDERATION_KEYS).map((key) => ['federation', name, key])),
    ...logins.flatMap((path) =>
      Object.keys(LOGIN_SETTINGS[path[2] ?? ''] ?? LOGIN_KEYS).map((key) => [...path, key]),
    ),
  ];
  return new Map([
    ...paths.map((path): [string, SettingPath] => [variableOf(path), path]),
    ...Object.entries(REGISTRY_VARIABLES),
  ]);
}

const LOGIN_SETTINGS: Readonly<Record<string, object>> = { oidc: OIDC_KEYS, ldap: LDAP_KEYS };

/** Returns the paths of the logins of the file, and of the maps in them. */
function loginsIn(data: unknown): SettingPath[] {
  const logins = propertyOf(data, 'login');
  return namesUnder(data, 'login').flatMap((name): SettingPath[] => [
    ['login', name],
    ...namesUnder(logins, name).flatMap((kind) => (kind in LOGIN_SETTINGS ? [['login', name, kind]] : [])),
  ]);
}

/**
 * Returns the variable of a key: `['cache', 'tagFreshness']` → `HUBGATE_CACHE_TAG_FRESHNESS`. The dots and
 * colons of a host become underscores too.
 */
export function variableOf(path: SettingPath): string {
  const words = path.map((part) => part.replace(/(?<=[a-z])(?=[A-Z])|[^A-Za-z0-9]/g, '_').toUpperCase());
  return PREFIX + words.join('_');
}

function upstreamsIn(data: unknown): string[] {
  return [...new Set([DOCKER_HUB, ...namesUnder(data, 'upstreams')])];
}

function namesUnder(data: unknown, key: string): string[] {
  const named = propertyOf(data, key);
  return isObject(named) ? Object.keys(named) : [];
}
