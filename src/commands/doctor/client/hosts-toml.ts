import path from 'node:path';
import { type Finding, wrong } from '../checks.ts';
import type { HostFiles, Settings } from './host-files.ts';
import { isMirror, type ProbedMirror } from './mirror.ts';
import { blocksIn, type ClientCertificateFiles, machineAuthorities, type PullRoute } from './route.ts';

export interface ReadHostsToml {
  readonly route?: PullRoute;
  readonly findings: readonly Finding[];
}

/**
 * Reads the `hosts.toml` of Docker Hub, if it leads to the mirror. The registry in `server` is asked after
 * all hosts; without `server`, that is the Hub.
 *
 * https://github.com/containerd/containerd/blob/main/docs/hosts.md
 */
export async function readHostsToml(
  files: HostFiles,
  file: string,
  mirror: ProbedMirror,
  program: string,
): Promise<ReadHostsToml> {
  const toml = await files.toml(file);
  const isServer = isMirror(mirror, toml.at('server').text);
  const [url, host] = toml.at('host').entries.find(([url]) => isMirror(mirror, url)) ?? [];
  const entry = host ?? (isServer ? toml : undefined);
  if (entry === undefined) return { findings: [] };
  const address = host === undefined ? toml.at('server').text : url;
  const certificate = clientOf(entry, file);
  const authorization = headerOf(entry);
  const route: PullRoute = {
    program,
    file,
    authorities: [...(await machineAuthorities(files)), ...(await authoritiesOf(entry, files, file))],
    trustedIn: `ca = … of ${file}`,
    ...(certificate && { certificate }),
    ...(authorization !== undefined && { authorization }),
    ...(entry.at('skip_verify').value === true && { isUnverified: true }),
    base: baseOf(address ?? '', entry.at('override_path').value === true),
    mayLogIn: true,
    ...(!isServer && { closeBy: `server = "${mirror.origin}" as the first line of ${file}` }),
  };
  return { route, findings: lackingCapabilities(entry, file) };
}

/**
 * Returns the base path as containerd makes it: `/v2` is added unless the path ends in it or `override_path`
 * is set.
 */
function baseOf(address: string, isWhole: boolean): string {
  const path = URL.parse(address)?.pathname.replace(/\/$/, '') ?? '';
  return isWhole || path.endsWith('/v2') ? path : `${path}/v2`;
}

function lackingCapabilities(entry: Settings, file: string): Finding[] {
  const { value } = entry.at('capabilities');
  if (value === undefined) return [];
  const lacking = ['pull', 'resolve'].filter((one) => !entry.at('capabilities').texts.includes(one));
  if (lacking.length === 0) return [];
  const mend = 'delete the line capabilities: without it the mirror has all of them, referrers too';
  return [wrong(file, `does not let the mirror ${lacking.join(' and ')}`, mend)];
}

/**
 * Finds the files of the client certificate. `client` is a file that contains both, a list of such files, or
 * a list of pairs.
 */
function clientOf(entry: Settings, file: string): ClientCertificateFiles | undefined {
  const first = entry.at('client').list[0];
  const [certificate, key = certificate] = first?.texts ?? [];
  if (certificate === undefined || key === undefined) return undefined;
  return { certificate: beside(file, certificate), key: beside(file, key) };
}

/** Finds the login. The case of a header's name does not matter. */
function headerOf(entry: Settings): string | undefined {
  const [, header] =
    entry.at('header').entries.find(([name]) => name.toLowerCase() === 'authorization') ?? [];
  return header?.texts[0];
}

async function authoritiesOf(entry: Settings, files: HostFiles, file: string): Promise<readonly string[]> {
  const texts = await Promise.all(entry.at('ca').texts.map((ca) => files.text(beside(file, ca))));
  return texts.flatMap((text) => blocksIn(text ?? ''));
}

function beside(file: string, name: string): string {
  return path.resolve(path.dirname(file), name);
}
