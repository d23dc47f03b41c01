import { Option } from 'commander';

/** An option of a verb. `Values` is what Commander adds for it to the values that the verb receives. */
interface VerbOption<Values> {
  readonly make: () => Option;
  /** Only the type is used. */
  readonly values?: Values;
}

type CamelCase<Text extends string> = Text extends `${infer Head}-${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : Text;

/** The name that Commander gives to the value of an option with these flags: `out` for `--out <directory>`. */
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
  passwordStdin: flag('--password-stdin', 'take the password from standard input'),
  service: flag('--service', 'a service account: no password, service tokens alone'),
  role: choice('--role <role>', 'only this part', ['core', 'auth', 'gateway']),
  from: text('--from <address>', 'as asked from this address'),
  at: text('--at <time>', 'as asked on this day, or at this time'),
  expires: textOr('--expires <duration>', 'it ends after so long', '90d'),
  pull: texts('--pull <pattern...>', 'only these of the repositories that its owner may pull'),
  fromNetworks: texts('--from <cidr...>', 'good from these networks only'),
  out: text('--out <directory>', 'where the files go; the name, if not said'),
  outTree: text('--out <directory>', 'write the files under it, as they lie on the client'),
  for: text('--for <name>', 'the node, account or person that the client pulls as (required)'),
  strict: flag('--strict', 'close the way around the mirror, where the client can'),
  showSecrets: flag('--show-secrets', 'print keys and tokens too'),
  days: textOr('--days <number>', 'how long it is good', '365'),
  csr: text('--csr <file>', 'a certificate request, for a key that is held elsewhere'),
  sinceADay: textOr(
    '--since <when>',
    'only from then on: a duration such as 24h, a day or a time (UTC)',
    '24h',
  ),
  until: text('--until <when>', 'only until then; a day counts to its end'),
  subject: text('--subject <subject>', 'of this subject only'),
  repository: text('--repository <image>', 'of this repository, or repository:tag, only'),
  denied: flag('--denied', 'only what was refused'),
  requests: flag('--requests', 'each request of a pull'),
  since: textOr('--since <when>', 'of the pulls since then: a duration, a day or a time (UTC)', '30d'),
  private: flag('--private', 'ask for private content: public content only is no (exit code 1)'),
  all: flag('--all', 'of all known users and repositories, whoever pulled what'),
  platform: separated(
    '--platform <os/arch>',
    'for these alone, or all; may be repeated (default: linux/amd64)',
  ),
  fromClient: text(
    '--from-client <mirror>',
    'look at this host instead, which should pull through that mirror',
  ),
  image: textOr('--image <image>', 'what it is tried to pull there', 'library/alpine:latest'),
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
