/**
 * nginx with the same files, without authentication, policy or audit log. It shows what a web server can do
 * here.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { startProcess } from '../../test/e2e/support/process.ts';
import { freePort } from '../../test/support/free-port.ts';
import { blobPath, fileOf, linkTo, manifestPath } from '../content.ts';
import { answers, onPath } from './ready.ts';
import type { ServerKind, ServerName, StartOptions } from './server.ts';

export const NGINX = nginxKind('nginx', 'nginx as Debian brings it', '');
export const NGINX_64K = nginxKind(
  'nginx-64k',
  'nginx with TLS buffers of 64 KiB and two output buffers of 512 KiB',
  'ssl_buffer_size 64k; output_buffers 2 512k;',
);

function nginxKind(name: ServerName, about: string, tuning: string): ServerKind {
  return {
    name,
    about,
    mirrors: false,
    missing: async () => ((await onPath('nginx')) ? undefined : 'there is no nginx'),
    start: (options) => startNginx(name, tuning, options),
  };
}

async function startNginx(name: ServerName, tuning: string, options: StartOptions) {
  const { directory, contentDirectory, images = [] } = options;
  const port = await freePort();
  const root = path.join(directory, 'www');
  await mkdir(root);
  for (const { tag, image } of images) {
    for (const digest of image.blobs.keys())
      await linkTo(fileOf(contentDirectory, digest), path.join(root, blobPath(digest)));
    for (const reference of [tag, image.digest])
      await linkTo(fileOf(contentDirectory, image.digest), path.join(root, manifestPath(reference)));
  }
  await writeFile(path.join(directory, 'nginx.conf'), configuration(options, port, tuning));
  const args = [
    '-p',
    directory,
    '-c',
    path.join(directory, 'nginx.conf'),
    '-e',
    path.join(directory, 'error.log'),
  ];
  const running = await startProcess('nginx', args, { ready: () => answers(port) });
  return {
    name,
    pid: running.pid,
    port,
    authorization: async () => undefined,
    [Symbol.asyncDispose]: () => running.stop(),
  };
}

/**
 * Writes the configuration, with two workers, as Hubgate has. Even with sendfile, TLS in nginx reads through
 * its own buffers.
 */
function configuration({ directory, tls }: StartOptions, port: number, tuning: string): string {
  const user = process.getuid?.() === 0 ? 'user root;' : '';
  const places = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `${kind}_temp_path ${directory}/${kind};`)
    .join(' ');
  return `daemon off; ${user} worker_processes 2; pid ${directory}/nginx.pid; worker_rlimit_nofile 8192;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 100000000; ${places} ${tuning}
  ssl_certificate ${tls.certificate}; ssl_certificate_key ${tls.key}; ssl_protocols TLSv1.2 TLSv1.3;
  server { listen 127.0.0.1:${port} ssl backlog=4096; root ${directory}/www; }
}
`;
}
