import assert from 'node:assert/strict';
import { once } from 'node:events';
import { access, chmod, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { FakeHub } from '../support/fake-hub.ts';
import { freePort } from '../support/free-port.ts';
import { ask } from '../support/http.ts';
import { imageOf } from '../support/image.ts';
import { InspectingProxy } from '../support/inspecting-proxy.ts';
import { basic } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';
import { Buildah, type BuiltImage } from './support/buildah.ts';
import { mustRun, run, startProcess } from './support/process.ts';

/** The image's user "node". */
const USER = 1000;
/** What the home of a container keeps in volumes, and what else it writes. */
const WRITABLE = [
  'config',
  'certs',
  'state',
  'data',
  'log',
  'run/core',
  'run/auth',
  'run/gateway',
  'run/account',
];

let directory: string;
let buildah: Buildah;

before(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-built-'));
  await chmod(directory, 0o755);
  buildah = await Buildah.open(directory);
});

after(async () => {
  await buildah?.[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

/** A proxy that answers each request with `answer`, or never. */
async function startProxy(answer?: string): Promise<Server & { readonly url: string }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    if (answer !== undefined) socket.once('data', () => socket.end(answer));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  server.on('close', () => {});
  const { port } = server.address() as { port: number };
  const close = server.close.bind(server);
  return Object.assign(server, {
    url: `http://127.0.0.1:${port}`,
    close(done?: (error?: Error) => void) {
      for (const socket of sockets) socket.destroy();
      return close(done);
    },
  });
}

test('behind a proxy that refuses the build fails soon, and names the build arguments', async (t) => {
  const proxy = await startProxy('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n');
  t.after(() => proxy.close());
  const { code, output } = await buildah.build({ HTTPS_PROXY: proxy.url, https_proxy: proxy.url });
  assert.notEqual(code, 0);
  assert.match(output, /npm cannot reach its registry .* the proxy refuses the connection: 403 Forbidden/);
  assert.match(output, /--build-arg HTTPS_PROXY=http:\/\/proxy\.corp:3128/);
  assert.match(output, /--build-arg CA=/);
});

test('behind a proxy that inspects TLS the image is built, and runs as a user without rights on a read-only root: ready, and an image is pulled', async (t) => {
  const proxy = await InspectingProxy.start();
  t.after(() => proxy[Symbol.asyncDispose]());
  const built = await buildah.build({
    HTTPS_PROXY: proxy.url,
    https_proxy: proxy.url,
    CA: proxy.authority.cert,
  });
  assert.equal(built.code, 0, built.output);
  // npm trusted the authority that the argument named, and went no other way.
  assert.ok(proxy.inspected.length > 10, `${proxy.inspected.length} requests went through the proxy`);
  const image = await buildah.mount();
  await assertContents(image);

  const hub = await FakeHub.start();
  t.after(() => hub[Symbol.asyncDispose]());
  const content = imageOf();
  hub.push('library/alpine', 'latest', content);
  const [port, admin] = [await freePort(), await freePort()];
  const environment = {
    HUBGATE_SERVER_LISTEN: `:${port}`,
    HUBGATE_SERVER_ADMIN: `127.0.0.1:${admin}`,
    HUBGATE_SERVER_WORKERS: '1',
    HUBGATE_UPSTREAMS_DOCKER_IO_URL: hub.url.origin,
  };
  const { Entrypoint, Cmd } = image.config;
  const [command = '', ...args] = inContainer(image, environment, [...Entrypoint, ...Cmd]);
  const running = await startProcess(command, args, { ready: (output) => output.includes('docker pull') });
  t.after(() => running.stop('SIGKILL').catch(() => {}));
  await waitFor(async () => (await ask({ host: '127.0.0.1', port: admin, path: '/readyz' })).status === 200);
  assert.match(running.output(), /to set another one: hubgate user passwd admin$/m);
  const [, password = ''] = /The user admin has the password {2}(\S+)/.exec(running.output()) ?? [];
  for (const target of ['manifests/latest', `blobs/${content.layers[0]}`]) {
    const { status } = await ask({
      ...{ tls: true, host: '127.0.0.1', port, rejectUnauthorized: false, agent: false },
      path: `/v2/library/alpine/${target}`,
      headers: { authorization: basic('admin', password) },
    });
    assert.equal(status, 200, target);
  }
  await running.stop();
});

async function assertContents({ root, config }: BuiltImage): Promise<void> {
  assert.equal(config.User, `${USER}:${USER}`);
  assert.equal(config.WorkingDir, '/hubgate');
  const modules = await readdir(path.join(root, 'opt/hubgate/node_modules'));
  for (const wanted of ['koa', 'argon2', 'undici']) assert.ok(modules.includes(wanted), wanted);
  for (const unwanted of ['typescript', '@biomejs', 'knip', 'node'])
    assert.ok(!modules.includes(unwanted), unwanted);
  await assert.rejects(access(path.join(root, 'usr/local/lib/node_modules')));
  for (const name of WRITABLE) assert.equal((await stat(path.join(root, 'hubgate', name))).uid, USER, name);
  // No build argument stays: neither an authority nor a proxy.
  assert.doesNotMatch(config.Env.join('\n'), /BEGIN CERTIFICATE|proxy/i);
  assert.equal(
    (await run('grep', ['-rl', 'BEGIN CERTIFICATE', path.join(root, 'opt/hubgate/package.json')])).code,
    1,
  );
  const help = await mustRun('chroot', [root, '/bin/env', 'PATH=/usr/local/bin:/bin', 'hubgate', '--help']);
  const [, page = ''] = /^Documentation: (.*)$/m.exec(help) ?? [];
  await access(path.join(root, page));
  const version = ['hubgate', '--version'];
  assert.match(
    await mustRun('chroot', [root, '/bin/env', 'PATH=/usr/local/bin:/bin', ...version]),
    /^\d+\.\d+\.\d+/,
  );
}

/**
 * A command in the image, as `docker run --read-only --user 1000` would run it: only the home's directories
 * can be written.
 */
function inContainer(
  { root, config }: BuiltImage,
  environment: Readonly<Record<string, string>>,
  command: readonly string[],
): string[] {
  const script = [
    `mount --bind "$0" "$0"`,
    'cd "$0"',
    'mkdir -p proc dev tmp',
    'mount --rbind /proc proc',
    'mount --rbind /dev dev',
    ...[...WRITABLE.map((name) => `hubgate/${name}`), 'tmp'].map(
      (name) => `mount -t tmpfs -o mode=0700,uid=${USER},gid=${USER} tmpfs ${name}`,
    ),
    'mount -o remount,bind,ro "$0"',
    // The root that was entered before the mount is the one below it.
    'cd "$0"',
    `exec setpriv --no-new-privs chroot --userspec=${USER}:${USER} --groups= . "$@"`,
  ];
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  return [
    ...['unshare', '--mount', 'sh', '-ec', script.join('\n'), root],
    ...['/bin/sh', '-ec', 'cd "$0" && exec "$@"', config.WorkingDir],
    ...['/bin/env', '-i', ...config.Env, ...variables, ...command],
  ];
}
