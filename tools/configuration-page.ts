import { z } from 'zod';
import { scalarsOf, variableOf } from '../src/config/environment.ts';
import { FEDERATION_KEYS } from '../src/config/federation.ts';
import { HOSTED_KEYS, NAMESPACE_KEYS } from '../src/config/hosted.ts';
import { ABOUT, SECTIONS, UPSTREAM_KEYS } from '../src/config/schema.ts';
import { DOCKER_HUB } from '../src/registry/repository.ts';

type Keys = Readonly<Record<string, z.ZodType>>;

const HEAD = `<!-- Made by \`npm run docs:configuration\` from src/config/schema.ts. What is written here by hand is lost. -->

# Configuration

\`config/hubgate.yaml\` below the home; every key is optional. \`hubgate check\` says everything that is wrong with it at once, and so does a
start. It is read once, at the start, and each process is given its part; files that it names are followed where this page says so. Paths are
below the home. Editors that know JSON Schema are told by \`hubgate schema config\`, or by the first line of the file:

\`\`\`
# yaml-language-server: $schema=hubgate.schema.json
\`\`\`

A variable counts before the file. The settings of an upstream have variables for docker.io always, and for another one when the file names it:
\`HUBGATE_UPSTREAMS_GHCR_IO_URL\`; so have those of a federation. A variable that means nothing is an error, but for those that Kubernetes
makes of a service called \`hubgate\`, and \`HUBGATE_HOME\`, which names the home in the place of \`--home\`. \`REGISTRY_PROXY_REMOTEURL\`, \`REGISTRY_PROXY_USERNAME\` and \`REGISTRY_PROXY_PASSWORD\` of the \`registry\`
image set \`url\`, \`username\` and \`password\` of docker.io.

Durations: \`60s\`, \`5m\`, \`12h\`, \`7d\`; sizes: \`512MiB\`, \`100GiB\`.
`;

/** The order of the sections in the example `config/hubgate.yaml`. */
const ORDER: readonly (keyof typeof ABOUT)[] = [
  'server',
  'tls',
  'upstreams',
  'egress',
  'core',
  'cache',
  'hosted',
  'token',
  'passwords',
  'federation',
  'log',
];

/** Returns docs/configuration.md, except for the width of its tables. */
export function configurationPage(): string {
  return [HEAD, ...ORDER.map(sectionText)].join('\n');
}

function sectionText(name: keyof typeof ABOUT): string {
  if (name === 'upstreams') return table('upstreams.<host>', ABOUT[name], UPSTREAM_KEYS, [name, DOCKER_HUB]);
  if (name === 'federation')
    return table('federation.<name>', ABOUT[name], FEDERATION_KEYS, [name, 'github']);
  if (name === 'hosted')
    return [
      table(name, ABOUT[name], HOSTED_KEYS, [name]),
      table('hosted.namespaces.<namespace>/**', NAMESPACES, NAMESPACE_KEYS),
    ].join('\n');
  return table(name, ABOUT[name], SECTIONS[name], [name]);
}

const NAMESPACES =
  'All repositories below a name that no upstream may have: literal segments, then `/**`. Nobody can push elsewhere.';

/** @param variables the path whose variables are listed; absent if there are none */
function table(title: string, about: string, keys: Keys, variables?: readonly string[]): string {
  const scalars = variables === undefined ? [] : scalarsOf(keys);
  const rows = Object.entries(keys).map(([key, schema]) => {
    const own = scalars.includes(key) ? `\`${variableOf([...(variables ?? []), key])}\`` : 'a list has none';
    const variable = variables === undefined ? 'none' : own;
    return [
      `\`${key}\``,
      typeOf(schema),
      usualOf(schema),
      variable,
      z.globalRegistry.get(schema)?.description,
    ];
  });
  const lines = [
    ['key', 'what it takes', 'default', 'variable', 'what it does'],
    Array(5).fill('-'),
    ...rows,
  ];
  return [`## \`${title}\``, '', about, '', ...lines.map((cells) => `| ${cells.join(' | ')} |`), ''].join(
    '\n',
  );
}

/** Returns what a fault says was expected. */
function typeOf(schema: z.ZodType): string {
  const message = schema.safeParse(Symbol('no value of a file')).error?.issues[0]?.message;
  if (message === undefined) throw new Error('a key takes anything');
  return message;
}

/** Returns the value if the key is not set. */
function usualOf(schema: z.ZodType): string {
  const { without } = z.globalRegistry.get(schema) ?? {};
  if (typeof without === 'string') return without;
  const json = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
  return `\`${json.default}\``;
}
