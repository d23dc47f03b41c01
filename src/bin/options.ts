import { Option } from 'commander';

/** The options of the verbs. Each verb that has an option gets a new object. */
export const OPTIONS = {
  json: () => new Option('--json', 'print data for programs').default(false),
  passwordStdin: () => new Option('--password-stdin', 'take the password from standard input').default(false),
  service: () =>
    new Option('--service', 'a service account: no password, service tokens alone').default(false),
  role: () => new Option('--role <role>', 'only this part').choices(['core', 'auth', 'gateway']),
  from: () => new Option('--from <address>', 'as asked from this address'),
  at: () => new Option('--at <time>', 'as asked on this day, or at this time'),
  expires: () => new Option('--expires <duration>', 'it ends after so long').default('90d'),
  pull: () => new Option('--pull <pattern...>', 'only these of the repositories that its owner may pull'),
  fromNetworks: () => new Option('--from <cidr...>', 'good from these networks only'),
  out: () => new Option('--out <directory>', 'where the files go; the name, if not said'),
  outTree: () => new Option('--out <directory>', 'write the files under it, as they lie on the client'),
  for: () => new Option('--for <name>', 'the node, account or person that the client pulls as (required)'),
  strict: () =>
    new Option('--strict', 'close the way around the mirror, where the client can').default(false),
  showSecrets: () => new Option('--show-secrets', 'print keys and tokens too').default(false),
  days: () => new Option('--days <number>', 'how long it is good').default('365'),
  csr: () => new Option('--csr <file>', 'a certificate request, for a key that is held elsewhere'),
  sinceADay: () =>
    new Option('--since <when>', 'only from then on: a duration such as 24h, a day or a time (UTC)').default(
      '24h',
    ),
  until: () => new Option('--until <when>', 'only until then; a day counts to its end'),
  subject: () => new Option('--subject <subject>', 'of this subject only'),
  repository: () => new Option('--repository <image>', 'of this repository, or repository:tag, only'),
  denied: () => new Option('--denied', 'only what was refused').default(false),
  requests: () => new Option('--requests', 'each request of a pull').default(false),
  since: () =>
    new Option('--since <when>', 'of the pulls since then: a duration, a day or a time (UTC)').default('30d'),
  private: () =>
    new Option('--private', 'ask for private content: public content only is no (exit code 1)').default(
      false,
    ),
  all: () => new Option('--all', 'of all known users and repositories, whoever pulled what').default(false),
  platform: () =>
    new Option(
      '--platform <os/arch>',
      'for these alone, or all; may be repeated (default: linux/amd64)',
    ).argParser((value, before: string[] = []) => [...before, ...value.split(',')]),
  fromClient: () =>
    new Option('--from-client <mirror>', 'look at this host instead, which should pull through that mirror'),
  image: () =>
    new Option('--image <image>', 'what it is tried to pull there').default('library/alpine:latest'),
};
