import { z } from 'zod';
import { CLUSTER_KEYS } from '../src/config/cluster.ts';
import { OBJECTS_KEYS } from '../src/config/cluster-objects.ts';
import { scalarsOf, variableOf } from '../src/config/environment.ts';
import { FEDERATION_KEYS } from '../src/config/federation.ts';
import { HOSTED_KEYS, NAMESPACE_KEYS } from '../src/config/hosted.ts';
import { LDAP_KEYS, LOGIN_KEYS, OIDC_KEYS } from '../src/config/login.ts';
import { ABOUT, SECTIONS, UPSTREAM_KEYS } from '../src/config/schema.ts';
import { DOCKER_HUB } from '../src/registry/repository.ts';
import { wrapText } from './wrap-text.ts';

type Keys = Readonly<Record<string, z.ZodType>>;

const HEAD = `<!-- Made by \`npm run docs:configuration\` from src/config/schema.ts. What is written here by hand is lost. -->

# Configuration

${wrapText('The settings are in `config/hubgate.yaml` below the home. Every key is optional. `hubgate check` names everything that is wrong with the file at once, and so does a start. The file is read once, at the start, and each process receives its part. Files that it names are read again when they change, if this page says "followed". Paths are below the home.')}

\`\`\`yaml
# config/hubgate.yaml
server:
  url: https://mirror.corp
  listen: ":443"
upstreams:
  docker.io: { username: acme-mirror, passwordFile: /run/secrets/hub-token }
  ghcr.io: {}
cache:
  tagFreshness: 5m
\`\`\`

## Environment

${wrapText('Every setting that is not a list or a map can be set by an environment variable, which counts before the file. Its name is `HUBGATE_` and the path of the key: `HUBGATE_CACHE_TAG_FRESHNESS` sets `cache.tagFreshness`. A list has no variable.')}

- ${wrapText('The settings of docker.io have variables in any case, as `HUBGATE_UPSTREAMS_DOCKER_IO_URL`. The settings of another upstream have them if the file names it: `HUBGATE_UPSTREAMS_GHCR_IO_URL`. The same holds for a federation and a login.', '  ').trim()}
- ${wrapText('Unknown `HUBGATE_` variables are errors, except `HUBGATE_HOME`, which names the home instead of `--home`, and those that Kubernetes makes for a service called `hubgate`.', '  ').trim()}
- ${wrapText('`REGISTRY_PROXY_REMOTEURL`, `REGISTRY_PROXY_USERNAME` and `REGISTRY_PROXY_PASSWORD` of the `registry` image set `url`, `username` and `password` of docker.io.', '  ').trim()}

## Values and editors

${wrapText('Durations are written as `60s`, `5m`, `12h` or `7d`, and sizes as `512MiB` or `100GiB`.')}

${wrapText('`hubgate schema config` prints a JSON Schema for editors. An editor with a YAML language server finds it by the first line of the file:')}

\`\`\`
# yaml-language-server: $schema=hubgate.schema.json
\`\`\`
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
  'cluster',
  'token',
  'passwords',
  'federation',
  'login',
  'log',
];

/** Returns docs/configuration.md. */
export function configurationPage(): string {
  return [HEAD, ...ORDER.map(sectionText)].join('\n');
}

function sectionText(name: keyof typeof ABOUT): string {
  if (name === 'upstreams') return list('upstreams.<host>', ABOUT[name], UPSTREAM_KEYS, [name, DOCKER_HUB]);
  if (name === 'federation') return list('federation.<name>', ABOUT[name], FEDERATION_KEYS, [name, 'github']);
  if (name === 'login')
    return [
      list('login.<name>', ABOUT[name], LOGIN_KEYS, [name, 'corp']),
      list('login.<name>.oidc', 'OpenID Connect.', OIDC_KEYS, [name, 'corp', 'oidc']),
      list('login.<name>.ldap', 'LDAP, or Active Directory.', LDAP_KEYS, [name, 'corp', 'ldap']),
    ].join('\n');
  if (name === 'cluster')
    return [
      list(name, ABOUT[name], CLUSTER_KEYS, [name]),
      list('cluster.objects', OBJECTS_STORE, OBJECTS_KEYS, [name, 'objects']),
    ].join('\n');
  if (name === 'hosted')
    return [
      list(name, ABOUT[name], HOSTED_KEYS, [name]),
      list('hosted.namespaces.<namespace>/**', NAMESPACES, NAMESPACE_KEYS),
    ].join('\n');
  return list(name, ABOUT[name], SECTIONS[name], [name]);
}

const NAMESPACES =
  'The namespaces to which clients can push: literal segments, then `/**`. No upstream may have such a name.';

const OBJECTS_STORE = 'The object store of a cluster. All nodes have the same.';

/** @param variables the path whose variables are listed; absent if there are none */
function list(title: string, about: string, keys: Keys, variables?: readonly string[]): string {
  const scalars = variables === undefined ? [] : scalarsOf(keys);
  const entries = Object.entries(keys).map(([key, schema]) => {
    const facts = [
      `Takes ${typeOf(schema)}.`,
      `Default: ${usualOf(schema)}.`,
      ...(scalars.includes(key) ? [`Variable: \`${variableOf([...(variables ?? []), key])}\`.`] : []),
    ];
    const does = z.globalRegistry.get(schema)?.description ?? '';
    return `${wrapText(`\`${key}\`: ${does}`, '- ')}\n${wrapText(facts.join(' '), '  ')}`;
  });
  return [`## \`${title}\``, '', wrapText(about), '', ...entries, ''].join('\n');
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
