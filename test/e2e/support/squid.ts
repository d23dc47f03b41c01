import { chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { freePort } from '../../support/free-port.ts';
import { ensurePackages } from './packages.ts';
import { mustRun, run, startProcess } from './process.ts';

export interface SquidOptions {
  /** The only hosts to which it connects, all of which are this machine. */
  readonly hosts: readonly string[];
  readonly login: { readonly username: string; readonly password: string };
  /**
   * The certificate and the key of the authority with which it inspects TLS, and the file of those that it
   * trusts.
   */
  readonly inspects?: { readonly pem: string; readonly trusted: string };
}

export interface Squid extends AsyncDisposable {
  readonly url: string;
  readonly directory: string;
}

const LIBRARY = '/usr/lib/squid';

/** Starts Debian's squid with a login, and with its own configuration and files. */
export async function startSquid({ hosts, login, inspects }: SquidOptions): Promise<Squid> {
  // The package squid has no such program, and cannot inspect TLS.
  await ensurePackages({ '/usr/lib/squid/security_file_certgen': 'squid-openssl', openssl: 'openssl' });
  // Debian starts it as a service; the suite starts its own.
  await run('systemctl', ['stop', 'squid']);
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-squid-'));
  const at = (name: string) => path.join(directory, name);
  const id = async (flag: string) => Number(await mustRun('id', [flag, 'proxy']));
  await chown(directory, await id('-u'), await id('-g'));
  const hash = await mustRun('openssl', ['passwd', '-apr1', login.password]);
  await writeFile(at('passwords'), `${login.username}:${hash}`);
  await writeFile(at('hosts'), hosts.map((host) => `127.0.0.1 ${host}\n`).join(''));
  if (inspects !== undefined) {
    await writeFile(at('authority.pem'), inspects.pem);
    await writeFile(at('trusted.crt'), inspects.trusted);
    await mustRun(`${LIBRARY}/security_file_certgen`, ['-c', '-s', at('certificates'), '-M', '4MB']);
    await mustRun('chown', ['-R', 'proxy:proxy', directory]);
  }
  const port = await freePort();
  const bumping = `ssl-bump tls-cert=${at('authority.pem')} generate-host-certificates=on dynamic_cert_mem_cache_size=4MB`;
  const lines = [
    `http_port 127.0.0.1:${port} ${inspects === undefined ? '' : bumping}`,
    ...(inspects === undefined
      ? []
      : [
          `sslcrtd_program ${LIBRARY}/security_file_certgen -s ${at('certificates')} -M 4MB`,
          `tls_outgoing_options cafile=${at('trusted.crt')}`,
          'ssl_bump bump all',
        ]),
    `pid_filename ${at('squid.pid')}`,
    `access_log stdio:${at('access.log')}`,
    `cache_log ${at('cache.log')}`,
    `coredump_dir ${directory}`,
    `hosts_file ${at('hosts')}`,
    'cache deny all',
    `auth_param basic program ${LIBRARY}/basic_ncsa_auth ${at('passwords')}`,
    'acl known proxy_auth REQUIRED',
    `acl hosts dstdomain ${hosts.join(' ')}`,
    'http_access deny !hosts',
    'http_access allow known',
    'http_access deny all',
    'shutdown_lifetime 0 seconds',
    'visible_hostname proxy.corp',
  ];
  await writeFile(at('squid.conf'), `${lines.join('\n')}\n`);
  const running = await startProcess('squid', ['-N', '-f', at('squid.conf')], {
    ready: () => answers(port),
  });
  return {
    url: `http://127.0.0.1:${port}`,
    directory,
    async [Symbol.asyncDispose]() {
      await running.stop();
      await rm(directory, { recursive: true });
    },
  };
}

async function answers(port: number): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/`).then(
    () => true,
    () => false,
  );
}
