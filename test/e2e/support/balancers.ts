import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { mustRun, type RunningProcess, run, startProcess } from './process.ts';

const PAGE = path.join(import.meta.dirname, '../../../docs/load-balancers.md');
const MODULES = '/usr/lib/nginx/modules';

export type BalancerKind = 'haproxy' | 'nginx';

/** Installs HAProxy and nginx from Debian if they are missing. The suite starts its own. */
export async function installBalancers(): Promise<void> {
  const isThere = await run('sh', [
    '-c',
    `command -v haproxy && command -v nginx && test -e ${MODULES}/ngx_stream_module.so`,
  ]);
  if (isThere.code === 0) return;
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  await mustRun('apt-get', ['update', '--quiet'], { env });
  const packages = ['haproxy', 'nginx-light', 'libnginx-mod-stream'];
  await mustRun('apt-get', ['install', '--yes', '--quiet', '--no-install-recommends', ...packages], { env });
  for (const service of ['haproxy', 'nginx']) await run('systemctl', ['stop', service]);
}

/** Returns the configuration that docs/load-balancers.md gives below a heading. */
export async function recipe(heading: string, kind: BalancerKind): Promise<string> {
  const page = await readFile(PAGE, 'utf8');
  const [, section = ''] = page.split(`\n## ${heading}\n`);
  const [, block] = section.split(/\n## /, 1)[0]?.split(`\`\`\`${kind}\n`) ?? [];
  return block?.split('```', 1)[0] ?? assert.fail(`there is no ${kind} recipe below "${heading}"`);
}

export interface BalancerOptions {
  readonly directory: string;
  readonly recipe: string;
  /** The port that clients use. */
  readonly port: number;
  /** The balancer's own address, as the mirror sees it. */
  readonly address: string;
  readonly mirror: { readonly port: number; readonly plainPort: number };
  /** The directory with the certificate that clients see, its key, and the certificate authority. */
  readonly certificates: string;
}

/** Starts a balancer by a recipe in which the addresses and files are replaced by those of the test. */
export async function startBalancer(
  kind: BalancerKind,
  { directory, recipe: text, port, address, mirror, certificates }: BalancerOptions,
): Promise<RunningProcess> {
  await mkdir(directory, { recursive: true });
  const file = path.join(directory, `${kind}.conf`);
  const at = (name: string) => path.join(certificates, name);
  const pem = path.join(directory, 'mirror.pem');
  await writeFile(
    pem,
    `${await readFile(at('server.crt'), 'utf8')}${await readFile(at('server.key'), 'utf8')}`,
  );
  const adapted = text
    .replaceAll('10.0.0.11:8443', `127.0.0.1:${mirror.port}`)
    .replaceAll('10.0.0.11:8080', `127.0.0.1:${mirror.plainPort}`)
    .replaceAll(/\/etc\/\w+\/hubgate-ca\.crt/g, at('ca.crt'))
    .replaceAll('/etc/nginx/mirror.crt', at('server.crt'))
    .replaceAll('/etc/nginx/mirror.key', at('server.key'))
    .replaceAll('/etc/haproxy/mirror.pem', pem)
    .replace('bind :443', `bind 127.0.0.1:${port}`)
    .replace('listen 443', `listen 127.0.0.1:${port}`)
    .replace(/( {2}server one \S+)/, `$1 source ${address}`)
    .replace(/(proxy_pass [^;]+;)/, `$1 proxy_bind ${address};`);
  const nginx = `pid ${directory}/nginx.pid; error_log stderr; events {}\n`;
  await writeFile(file, kind === 'nginx' ? nginx + adapted : adapted);
  const modules = `daemon off; load_module ${MODULES}/ngx_stream_module.so;`;
  const args = kind === 'nginx' ? ['-c', file, '-g', modules] : ['-f', file, '-db'];
  const ready = () => run('curl', ['-ks', `https://localhost:${port}/healthz`]);
  return startProcess(kind, args, { ready: async () => (await ready()).output === 'ok\n' });
}
