import { Option } from 'commander';
import { LISTED_ACTIONS } from '../commands/audited-actions.ts';
import { BUDGET_KEYS } from '../commands/budget/budget-key.ts';

/** An option of a verb. `Values` is what Commander adds for it to the values that the verb receives. */
interface VerbOption<Values> {
  readonly make: () => Option;
  /** Only the type is used. */
  readonly values?: Values;
}

type CamelCase<Text extends string> = Text extends `${infer Head}-${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : Text;

/**
 * The name that Commander gives to the value of an option with these flags: `out` for `--out <directory>`.
 */
type NameOf<Flags extends string> = Flags extends `--${infer Name} <${string}>`
  ? CamelCase<Name>
  : Flags extends `--${infer Name}`
    ? CamelCase<Name>
    : never;

type RequiredOption<Flags extends string, Value> = VerbOption<{ readonly [Name in NameOf<Flags>]: Value }>;
type OptionalOption<Flags extends string, Value> = VerbOption<{ readonly [Name in NameOf<Flags>]?: Value }>;

/** An option without a value. */
function flag<Flags extends string>(flags: Flags, description: string): RequiredOption<Flags, boolean> {
  return { make: () => new Option(flags, description).default(false) };
}

/** An option whose value is a text, and which may be missing. */
function text<Flags extends string>(flags: Flags, description: string): OptionalOption<Flags, string> {
  return { make: () => new Option(flags, description) };
}

function textOr<Flags extends string>(
  flags: Flags,
  description: string,
  fallback: string,
): RequiredOption<Flags, string> {
  return { make: () => new Option(flags, description).default(fallback) };
}

/** An option with several values, which may be missing. Its flags end with `...>`. */
function texts<Flags extends string>(flags: Flags, description: string): OptionalOption<Flags, string[]> {
  return { make: () => new Option(flags, description) };
}

/** An option that may be repeated, with values that commas separate. */
function separated<Flags extends string>(flags: Flags, description: string): OptionalOption<Flags, string[]> {
  const split = (value: string, before: string[] = []) => [...before, ...value.split(',')];
  return { make: () => new Option(flags, description).argParser(split) };
}

function choice<Flags extends string, Choice extends string>(
  flags: Flags,
  description: string,
  choices: readonly Choice[],
): OptionalOption<Flags, Choice> {
  return { make: () => new Option(flags, description).choices(choices) };
}

/** The options of the verbs. Each verb that has an option gets a new object of Commander. */
export const OPTIONS = {
  json: flag('--json', 'print data for programs'),
  dryRun: flag('--dry-run', 'say what would be done and why, and change nothing'),
  passwordStdin: flag('--password-stdin', 'read the password from standard input'),
  service: flag('--service', 'make a service account: it has no password, only service tokens'),
  role: choice('--role <role>', 'only this role', ['core', 'auth', 'gateway', 'account']),
  from: text('--from <address>', 'the address of the client'),
  group: texts(
    '--group <group...>',
    'as if the subject had these groups of a directory, such as corp/payments, besides those that are known',
  ),
  at: text('--at <time>', 'the day or the time of the pull'),
  expires: textOr('--expires <duration>', 'the lifetime of the token', '90d'),
  pull: texts('--pull <pattern...>', 'only these repositories, of those that the owner may pull'),
  push: texts(
    '--push <pattern...>',
    'only these of the hosted repositories that its owner may push; includes pull',
  ),
  action: choice('--action <action>', 'ask whether it may be done (default: pull)', [
    'pull',
    'push',
    'delete',
  ]),
  fromNetworks: texts('--from <cidr...>', 'valid only from these networks'),
  out: text('--out <directory>', 'the directory for the files (default: ./NAME)'),
  outTree: text('--out <directory>', 'write the files below it, as they lie on the client'),
  for: text(
    '--for <name>',
    'the node, account or person that the client pulls as (required, except with --service-accounts)',
  ),
  strict: flag('--strict', 'close the way around the mirror, where the client can'),
  serviceAccounts: flag('--service-accounts', 'let each pod of a cluster pull as its own service account'),
  showSecrets: flag('--show-secrets', 'print keys and tokens too'),
  ca: text('--ca <file>', 'the certificate of the mirror’s CA'),
  caSha256: text('--ca-sha256 <fingerprint>', 'take the CA from the mirror, if it has this SHA-256'),
  machine: text('--machine <name>', 'the name of the token (default: the name of this machine)'),
  keychain: text('--keychain <name>', 'the keychain of docker, such as pass; none: a file of this user'),
  days: textOr('--days <number>', 'the number of days that it is valid', '365'),
  csr: text('--csr <file>', 'a certificate request, if the key was made elsewhere'),
  sinceADay: textOr(
    '--since <when>',
    'only since then: a duration such as 24h, a day or a time (UTC)',
    '24h',
  ),
  sinceAWindow: textOr(
    '--since <when>',
    'the pulls since then: a duration such as 24h, a day or a time (UTC)',
    '6h',
  ),
  by: choice('--by <what>', 'whose pulls are added up (default: subject)', BUDGET_KEYS),
  until: text('--until <when>', 'only until then; a day counts to its end'),
  subject: text('--subject <subject>', 'only this subject'),
  as: text(
    '--as <subject>',
    'judge by the policy what this subject may do (default: the operator, who may do everything)',
  ),
  repository: text('--repository <image>', 'only this repository, or repository:tag'),
  denied: flag('--denied', 'only what was refused'),
  audited: choice('--action <action>', 'only this action', LISTED_ACTIONS),
  requests: flag('--requests', 'print each request of a pull'),
  since: textOr('--since <when>', 'look at the pulls since then: a duration, a day or a time (UTC)', '30d'),
  private: flag('--private', 'ask for private content; exit code 1 if only public content is allowed'),
  all: flag('--all', 'compare all known users and repositories, and not only the pulls that were made'),
  platform: separated(
    '--platform <os/arch>',
    'only these platforms, or all; may be repeated (default: linux/amd64)',
  ),
  fromClient: text('--from-client <mirror>', 'examine this host, which should pull through that mirror'),
  force: flag('--force', 'also what is immutable'),
  pairs: text('--file <file>', 'a source and a target on each line of this file'),
  image: textOr('--image <image>', 'the image to ask the mirror for', 'library/alpine:latest'),
};

export type OptionName = keyof typeof OPTIONS;

type ValuesOf<Name extends OptionName> =
  (typeof OPTIONS)[Name] extends VerbOption<infer Values> ? Values : never;

/** Turns `A | B` into `A & B`. */
type Both<Union> = (Union extends unknown ? (one: Union) => void : never) extends (both: infer All) => void
  ? All
  : never;

/** The values that a verb with these options receives. */
export type OptionValues<Name extends OptionName> = { readonly home: string } & Both<ValuesOf<Name>>;
