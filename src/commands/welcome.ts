import { X509Certificate } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import packageJson from '../../package.json' with { type: 'json' };
import { directoryOf } from '../access/load-policy.ts';
import type { Config, Upstream, UpstreamCredentialConfig } from '../config/config.ts';
import { describeEgress } from '../config/egress.ts';
import type { HomePaths } from '../config/home.ts';
import type { PreparedStart } from '../launch/prepare.ts';
import { printLine, type Terminal } from '../launch/terminal.ts';
import { diskSpace } from '../platform/disk-space.ts';
import { formatSize } from '../platform/size.ts';

/** Says what has been started: its addresses, accounts, policy and disk, and what to try. */
export async function printWelcome(
  config: Config,
  paths: HomePaths,
  { ca, firstPassword }: PreparedStart,
  { stdout }: Terminal,
): Promise<void> {
  const print = (name: string, text: string) => printLine(stdout, `  ${name.padEnd(16)}${text}`);
  const { listen, plain, admin } = config.server;
  const url = new URL(config.server.url);
  const upstreams = config.upstreams.map(({ host }) => host).join(', ');
  printLine(stdout);
  printLine(stdout, `Hubgate ${packageJson.version} mirrors ${upstreams}`);
  print('listening on', `${listen.host ?? 'every address'}, port ${listen.port}, as ${url.origin}`);
  if (plain !== undefined)
    print(
      'without TLS',
      `${plain.host ?? 'every address'}, port ${plain.port}; to others than server.trustedProxies only what anonymous may pull`,
    );
  print('metrics', `${admin.host ?? 'every address'}, port ${admin.port}`);
  for (const upstream of config.coreUrl === undefined ? config.upstreams : [])
    print('account', accountOf(upstream));
  print('policy', await policyOf(paths));
  print('cache', await cacheOf(config));
  if (ca !== undefined) {
    print('CA certificate', shortest(paths.ca.certificate));
    print('its SHA-256', new X509Certificate(ca).fingerprint256);
  }
  const proxy = describeEgress(config.egress);
  if (proxy !== '') print('proxy', proxy);
  if (config.coreUrl !== undefined) {
    print('core', config.coreUrl);
    print('', 'It is not Hubgate’s own: there is no guard for private repositories, so every');
    print('', 'rule reaches whatever its credential can read; and fills are not shared.');
  }
  printLine(stdout);
  // A mirror whose users were added before its first start has no user admin.
  const user = firstPassword === undefined ? '' : ' -u admin';
  printLine(stdout, `  docker login ${url.host}${user}`);
  printLine(stdout, `  docker pull ${url.host}/library/alpine`);
  printLine(stdout);
}

/** Names the accounts at an upstream, never their passwords. */
function accountOf({ host, credential, accounts = [] }: Upstream): string {
  const names = [
    ...(credential === undefined ? [] : [nameOf(credential)]),
    ...accounts.map((account) => `${account.name} (${nameOf(account.credential)})`),
  ];
  return names.length === 0 ? `none at ${host}: only what is public` : `${names.join(', ')} at ${host}`;
}

function nameOf(credential: UpstreamCredentialConfig): string {
  return 'helper' in credential ? `docker-credential-${credential.helper}` : credential.username;
}

async function policyOf({ policy }: HomePaths): Promise<string> {
  const directory = directoryOf(policy);
  const names = await readdir(directory).catch(() => []);
  const more = names.filter((name) => name.endsWith('.yaml')).length;
  return more === 0 ? shortest(policy) : `${shortest(policy)} and ${more} more in ${shortest(directory)}`;
}

/** A cache that cannot be used stops no start: the core reports it. */
async function cacheOf({ cache: { directory, maxSize }, coreUrl }: Config): Promise<string> {
  if (coreUrl !== undefined) return 'that of the registry at core.url';
  const space = await diskSpace(directory).catch(() => undefined);
  const limit = maxSize === 'auto' ? 'as much as the disk allows' : `at most ${formatSize(maxSize)}`;
  const free =
    space === undefined ? 'cannot be read' : `${formatSize(space.free)} of ${formatSize(space.total)} free`;
  return `${shortest(directory)}, ${limit}; the disk has ${free}`;
}

/** Returns the shortest name of a file, relative to the working directory if the file is in it. */
function shortest(file: string): string {
  const relative = path.relative(process.cwd(), file);
  return relative.startsWith('..') ? file : relative;
}
