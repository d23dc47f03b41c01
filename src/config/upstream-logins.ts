/** Reads the logins of an upstream from hubgate.yaml: one credential, or several accounts. */
import type { z } from 'zod';
import { canonicalPattern, type PatternText } from '../access/pattern-text.ts';
import type { PartReader } from '../platform/yaml/yaml-schema.ts';
import { looksLikeHost, type UpstreamHost } from '../registry/repository.ts';
import type { Upstream, UpstreamAccountConfig, UpstreamCredentialConfig } from './config.ts';
import type { Environment } from './environment.ts';
import type { UPSTREAM_ACCOUNT, UPSTREAM_KEYS } from './schema.ts';

/** The facts on which the valid settings of upstreams depend. */
export interface LoadContext {
  readonly externalCore: boolean;
  readonly readsSecrets: boolean;
  readonly at: (file: string) => string;
  readonly environment: Environment;
}

type GivenUpstream = z.output<z.ZodObject<typeof UPSTREAM_KEYS>>;
type GivenAccount = z.output<typeof UPSTREAM_ACCOUNT>;
type GivenLogin = Omit<GivenAccount, 'name' | 'only'> & Pick<GivenUpstream, 'password'>;

/** The variables that every credential helper receives. */
const HELPER_VARIABLES = ['PATH', 'HOME'];

export function readLogins(
  parts: PartReader,
  host: UpstreamHost,
  given: GivenUpstream,
  context: LoadContext,
): Pick<Upstream, 'credential' | 'accounts'> {
  const path = ['upstreams', host];
  judgeExternalCore(parts, path, given, context);
  const isLogin = judgeCredential(parts, path, given, context);
  if (given.accounts === undefined) {
    const credential = credentialOf(given, context);
    return credential === undefined ? {} : { credential };
  }
  const at = [...path, 'accounts'];
  if (given.accounts.length === 0)
    parts.fault(at, 'a list of accounts has at least one; remove the key, or add one');
  if (isLogin)
    parts.fault(at, 'the upstream has a login of its own beside its accounts; make that one of them', 'key');
  judgeNames(parts, at, given.accounts);
  const accounts = given.accounts.flatMap((account, index) =>
    readAccount(parts, host, [...at, index], account, context),
  );
  judgeSameLogin(parts, at, accounts);
  return accounts.length === 0 ? {} : { accounts };
}

/** A registry in the core's place logs in by itself, counts no pulls and has no limit on its downloads. */
function judgeExternalCore(
  parts: PartReader,
  path: readonly string[],
  { accounts, quota, bandwidth }: GivenUpstream,
  { externalCore }: LoadContext,
): void {
  if (!externalCore) return;
  for (const [key, value] of Object.entries({ accounts, quota, bandwidth }))
    if (value !== undefined)
      parts.fault(
        [...path, key],
        `with core.url there is no ${key}, because the registry there knows none; remove it`,
        'key',
      );
}

/** Reports what is wrong with a login. Returns true if there is one. */
function judgeCredential(
  parts: PartReader,
  path: readonly PropertyKey[],
  { username, password, passwordFile, credentialHelper, credentialEnvironment }: GivenLogin,
  { externalCore, readsSecrets }: LoadContext,
): boolean {
  const secrets = [password, passwordFile].filter((secret) => secret !== undefined);
  // The other roles may run without the environment that contains the secret.
  const isElsewhere = !readsSecrets && secrets.length === 0;
  const hasHelper = credentialHelper !== undefined;
  const hasLogin = username !== undefined || secrets.length > 0;
  if (credentialEnvironment !== undefined && !hasHelper)
    parts.fault(
      [...path, 'credentialEnvironment'],
      'there is no credentialHelper that it could be for',
      'key',
    );
  if (externalCore && (hasLogin || hasHelper)) {
    parts.fault(path, 'with core.url the credential belongs to that core; remove it here');
  } else if (hasHelper && hasLogin) {
    parts.fault(
      [...path, 'credentialHelper'],
      'a credential helper gives the username and the password; remove these, or the helper',
      'key',
    );
  } else if (secrets.length !== (username === undefined ? 0 : 1) && !isElsewhere) {
    parts.fault(path, 'a username needs exactly one of passwordFile and password, and these need a username');
  }
  return hasLogin || hasHelper;
}

function credentialOf(
  { username, password, passwordFile, credentialHelper: helper, credentialEnvironment = [] }: GivenLogin,
  { at, environment, readsSecrets }: LoadContext,
): UpstreamCredentialConfig | undefined {
  if (helper !== undefined) {
    const variables = readsSecrets ? [...HELPER_VARIABLES, ...credentialEnvironment] : [];
    const found = variables.flatMap((name) => {
      const value = environment[name];
      return value === undefined ? [] : [[name, value] as const];
    });
    return { helper, environment: Object.fromEntries(found) };
  }
  if (username === undefined) return undefined;
  if (passwordFile !== undefined) return { username, passwordFile: at(passwordFile) };
  return password === undefined ? undefined : { username, password };
}

function judgeNames(parts: PartReader, at: readonly PropertyKey[], accounts: readonly GivenAccount[]): void {
  const names = new Set<string>();
  for (const [index, { name }] of accounts.entries()) {
    if (names.has(name))
      parts.fault([...at, index, 'name'], `there is another account "${name}"; each has a name of its own`);
    names.add(name);
  }
}

/** One account under two names would be counted twice, each time as if it had the whole quota. */
function judgeSameLogin(
  parts: PartReader,
  at: readonly PropertyKey[],
  accounts: readonly UpstreamAccountConfig[],
): void {
  const names = new Map<string, string>();
  for (const [index, { name, credential }] of accounts.entries()) {
    const login = JSON.stringify(credential);
    const first = names.get(login);
    if (first !== undefined && first !== name)
      parts.fault(
        [...at, index],
        `"${name}" has the login of "${first}"; one account is listed once, and "only" takes a list of patterns`,
      );
    names.set(login, first ?? name);
  }
}

function readAccount(
  parts: PartReader,
  host: UpstreamHost,
  path: readonly PropertyKey[],
  account: GivenAccount,
  context: LoadContext,
): readonly UpstreamAccountConfig[] {
  const { name, only } = account;
  const login = { ...account, password: undefined };
  const isLogin = judgeCredential(parts, path, login, { ...context, externalCore: false });
  if (!isLogin)
    parts.fault(
      path,
      `the account "${name}" has no login; add username and passwordFile, or credentialHelper`,
    );
  const patterns = only?.flatMap((text, index) => {
    const read = patternOf(host, text);
    if ('pattern' in read) return [read.pattern];
    parts.fault([...path, 'only', index], read.wrong);
    return [];
  });
  const credential = credentialOf(login, context);
  return credential === undefined ? [] : [{ name, credential, ...(patterns && { only: patterns }) }];
}

/** Parses a pattern of one upstream's repositories. Its host may precede it. */
function patternOf(host: UpstreamHost, text: string): PatternText {
  if (text.includes('${user}'))
    return {
      wrong: `"${text}" can match no repository: \${user} is the caller, and an account is nobody’s own`,
    };
  const first = text.split('/', 1)[0] ?? '';
  const hasHost = looksLikeHost(first) && first !== text;
  const whole = text === 'everything' ? '**' : text;
  const read = canonicalPattern(hasHost ? whole : `${host}/${whole}`);
  if ('wrong' in read || read.pattern.startsWith(`${host}/`)) return read;
  return { wrong: `"${text}" can match no repository of ${host}` };
}
