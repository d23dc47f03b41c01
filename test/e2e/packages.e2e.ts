/**
 * What `npm run release` makes is built, a part of it twice, and installed and run from nothing: the npm
 * package in an empty directory with Node 24, the Debian package in an empty Debian and under systemd, the
 * image with podman.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import packageJson from '../../package.json' with { type: 'json' };
import { readTar } from '../../tools/release/archive.ts';
import { billOfPackage } from '../../tools/release/bill-of-materials.ts';
import { debianPackage } from '../../tools/release/debian-package.ts';
import { programFiles } from '../../tools/release/npm-package.ts';
import { releaseFacts } from '../../tools/release/release-facts.ts';
import { readServices } from '../support/compose-file.ts';
import { FakeHub } from '../support/fake-hub.ts';
import { freePort } from '../support/free-port.ts';
import { ask } from '../support/http.ts';
import { imageOf } from '../support/image.ts';
import { whyNoMounts } from '../support/in-mount-namespace.ts';
import { basic } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';
import { ensurePackages } from './support/packages.ts';
import { mustRun, type RunningProcess, run, startProcess } from './support/process.ts';
import { SystemdContainer } from './support/systemd-container.ts';

const skip = await whyNoMounts();
const ROOT = path.join(import.meta.dirname, '../..');
const DIST = path.join(ROOT, 'dist');
const VERSION = packageJson.version;
const NPM_PACKAGE = path.join(DIST, `hubgate-${VERSION}.tgz`);
/** The oldest Node that the package runs on. */
const NODE = `${packageJson.engines.node.replace('>=', '')}.0`;

/**
 * The rest is made of the same npm package, and test/deploy/release.test.ts makes a small one of it twice.
 */
const BUILT_TWICE = ['npm', 'chart'];

let directory: string;
let debian: string;

before(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-packages-'));
  await mustRun('chmod', ['755', directory]);
  if (skip !== false) return;
  await ensurePackages({ debootstrap: 'debootstrap', podman: 'podman', lintian: 'lintian', runc: 'runc' });
  await mustRun('apt-get', ['update', '--quiet']);
  const { time } = releaseFacts();
  const copy = path.join(directory, 'copy');
  [debian] = await Promise.all([
    emptyDebian(path.join(directory, 'debian')),
    mustRun('env', [...withoutNpm(), 'npm', 'run', '--prefix', ROOT, 'release']),
    copyCheckout(copy).then(() => release(copy, time)),
  ]);
});

after(() => rm(directory, { recursive: true, force: true }));

/** What npm tells the commands that it runs must not reach a npm that works elsewhere. */
function withoutNpm(): string[] {
  const names = Object.keys(process.env).filter((name) => /^npm_(?!config_registry$)/.test(name));
  return names.flatMap((name) => ['-u', name]);
}

function inDirectory(at: string, ...command: string[]): [string, string[]] {
  return ['env', [...withoutNpm(), '-C', at, ...command]];
}

async function release(at: string, time: Date): Promise<void> {
  const epoch = `SOURCE_DATE_EPOCH=${time.getTime() / 1000}`;
  await mustRun(...inDirectory(at, epoch, 'npm', 'run', 'release', '--', ...BUILT_TWICE));
}

/** Copies what git has of the checkout, and the packages that are installed in it. */
async function copyCheckout(target: string): Promise<void> {
  await mkdir(target);
  const script = [
    'cd "$0"',
    'git ls-files -z --cached --others --exclude-standard | xargs -0 cp -a --parents -t "$1"',
    'cp -al node_modules "$1" 2> /dev/null || { rm -rf "$1/node_modules"; cp -a node_modules "$1"; }',
  ];
  await mustRun('sh', ['-ec', script.join('\n'), ROOT, target]);
}

/** Makes a Debian that has nothing but systemd and the libraries of Node. */
async function emptyDebian(target: string): Promise<string> {
  const [, codename = ''] = /^VERSION_CODENAME=(\S+)$/m.exec(await readFile('/etc/os-release', 'utf8')) ?? [];
  const sources = await mustRun('apt-get', ['indextargets', '--format', '$(REPO_URI) $(CODENAME)']);
  const [, mirror = ''] = new RegExp(`^(\\S+) ${codename}$`, 'm').exec(sources) ?? [];
  const include = '--include=systemd,libatomic1,libstdc++6';
  await mustRun('debootstrap', ['--variant=minbase', include, codename, target, mirror]);
  return target;
}

/** Starts a mirror by `command`, which a fresh home belongs to, and pulls an image through it. */
async function pullThrough(
  start: (environment: readonly string[]) => Promise<RunningProcess>,
): Promise<string> {
  await using hub = await FakeHub.start();
  const content = imageOf();
  hub.push('library/alpine', 'latest', content);
  const [port, admin] = [await freePort(), await freePort()];
  const running = await start([
    `HUBGATE_SERVER_LISTEN=127.0.0.1:${port}`,
    `HUBGATE_SERVER_ADMIN=127.0.0.1:${admin}`,
    'HUBGATE_SERVER_WORKERS=1',
    `HUBGATE_UPSTREAMS_DOCKER_IO_URL=${hub.url.origin}`,
  ]);
  try {
    await waitFor(
      async () => (await ask({ host: '127.0.0.1', port: admin, path: '/readyz' })).status === 200,
    );
    const [, password = ''] = /The user admin has the password {2}(\S+)/.exec(running.output()) ?? [];
    const get = (target: string, authorization?: string) =>
      ask({
        ...{ tls: true, host: '127.0.0.1', port, rejectUnauthorized: false, agent: false, path: target },
        headers: authorization === undefined ? {} : { authorization },
      });
    const repository = '/v2/library/alpine';
    // As docker does: ask, log in for a token where the challenge says, and ask again with it.
    const { headers } = await get(`${repository}/manifests/latest`);
    const challenge = headers['www-authenticate'] ?? '';
    const [, service = ''] = /service="([^"]+)"/.exec(challenge) ?? [];
    const asked = `/token?service=${service}&scope=repository:library/alpine:pull`;
    const login = await get(asked, basic('admin', password));
    assert.equal(login.status, 200, `${challenge}\n${running.output()}`);
    const { token } = JSON.parse(login.body.toString());
    for (const target of ['manifests/latest', `blobs/${content.layers[0]}`]) {
      const { status } = await get(`${repository}/${target}`, `Bearer ${token}`);
      assert.equal(status, 200, `${target}\n${running.output()}`);
    }
  } finally {
    await running.stop();
  }
  return running.output();
}

const ready = (output: string) => output.includes('docker pull');

test('a checkout at another path gives the same bytes, and the sums are theirs', { skip }, async () => {
  const sums = (await readFile(path.join(DIST, 'SHA256SUMS'), 'utf8')).trim().split('\n');
  const again = (await readFile(path.join(directory, 'copy/dist/SHA256SUMS'), 'utf8')).trim().split('\n');
  assert.deepEqual(
    again,
    sums.filter((line) => /hubgate(?:-chart)?-[\d.]+\.tgz/.test(line)),
  );
  await mustRun(...inDirectory(DIST, 'sha256sum', '--check', '--strict', 'SHA256SUMS'));
  const named = sums.map((line) => line.slice(66));
  assert.deepEqual([...named, 'SHA256SUMS'].toSorted(), (await readdir(DIST)).toSorted());
  assert.equal(named.filter((name) => name.endsWith('.cdx.json')).length, 4);
});

test('the npm package has the program, its dependencies and its documentation, and nothing else', {
  skip,
}, async () => {
  const names = (await readTar(readFileSync(NPM_PACKAGE))).map((entry) =>
    entry.path.slice('package/'.length),
  );
  const own = names.filter((name) => !name.startsWith('node_modules/'));
  const tops = new Set(own.map((name) => name.split('/')[0] ?? ''));
  assert.deepEqual([...tops].toSorted(), [
    ...[
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'SECURITY.md',
      'bin',
      'deploy',
      'docs',
      'lib',
      'package.json',
    ],
  ]);
  assert.deepEqual(
    own.filter((name) => /\.(?:ts|key|db|log|env)$|hub-token|users\.yaml/.test(name)),
    [],
  );
  const modules = new Set(
    names.flatMap((name) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(name)?.[1] ?? []),
  );
  for (const wanted of Object.keys(packageJson.dependencies)) assert.ok(modules.has(wanted), wanted);
  for (const unwanted of Object.keys(packageJson.devDependencies))
    assert.ok(!modules.has(unwanted), unwanted);
});

test(`npx hubgate start works in an empty directory with Node ${NODE}, and an image is pulled`, {
  skip,
}, async () => {
  const home = path.join(directory, 'empty');
  await mkdir(home);
  await mustRun(
    ...inDirectory(home, 'npm', 'install', '--no-audit', '--no-fund', NPM_PACKAGE, `node@${NODE}`),
  );
  assert.equal((await mustRun(...inDirectory(home, 'npx', 'node', '--version'))).trim(), `v${NODE}`);
  assert.equal((await mustRun(...inDirectory(home, 'npx', 'hubgate', '--version'))).trim(), VERSION);
  const output = await pullThrough((environment) =>
    // As npx does, except that a signal ends the mirror itself.
    startProcess(
      ...inDirectory(
        home,
        `PATH=${home}/node_modules/.bin:${process.env.PATH}`,
        ...environment,
        'hubgate',
        'start',
      ),
      {
        ready,
      },
    ),
  );
  assert.match(output, /to set another one: npx hubgate user passwd admin$/m);
});

test('in an empty Debian the package brings the command, its users and its unit, and an image is pulled', {
  skip,
}, async () => {
  const { architecture } = releaseFacts();
  const name = `hubgate_${VERSION}_${architecture}.deb`;
  await mustRun('cp', [path.join(DIST, name), path.join(debian, 'tmp')]);
  await mustRun('chroot', [debian, 'dpkg', '--install', `/tmp/${name}`]);
  assert.equal((await mustRun('chroot', [debian, 'hubgate', '--version'])).trim(), VERSION);
  const enabled = path.join(debian, 'etc/systemd/system/multi-user.target.wants');
  assert.ok((await readdir(enabled)).includes('hubgate.service'));
  await mustRun('chroot', [debian, 'install', '-d', '-o', 'hubgate', '-g', 'hubgate', '/var/lib/hubgate']);
  const mounts =
    'mount --rbind /proc "$0/proc"; mount --rbind /dev "$0/dev"; exec chroot --userspec=hubgate:hubgate "$@"';
  const output = await pullThrough((environment) =>
    startProcess(
      'unshare',
      [
        '--mount',
        'sh',
        '-ec',
        mounts,
        debian,
        debian,
        'env',
        '-C',
        '/var/lib/hubgate',
        ...environment,
        'hubgate',
        'start',
      ],
      { ready },
    ),
  );
  assert.match(output, /to set another one: sudo -u hubgate hubgate user passwd admin$/m);
  const purged = await mustRun('chroot', [debian, 'dpkg', '--purge', 'hubgate']);
  assert.match(purged, /\/var\/lib\/hubgate is kept/);
  assert.ok((await readdir(path.join(debian, 'var/lib/hubgate'))).includes('config'));
  assert.deepEqual(
    (await readdir(enabled)).filter((one) => one.startsWith('hubgate')),
    [],
  );
});

test('under systemd the Debian package starts the service, and an upgrade starts it again', {
  skip,
}, async () => {
  const file = path.join(DIST, `hubgate_${VERSION}_${releaseFacts().architecture}.deb`);
  await using machine = await SystemdContainer.start();
  // Images of containers have it, and it forbids to start a service.
  await machine.mustRun('rm', '-f', '/usr/sbin/policy-rc.d');
  assert.match(await machine.mustRun('dpkg', '--install', file), /journalctl -u hubgate/);
  await machine.ready();
  const pid = () => machine.mustRun('systemctl', 'show', '--value', '--property=MainPID', 'hubgate');
  const first = await pid();
  const node = await machine.mustRun('readlink', `/proc/${first.trim()}/exe`);
  assert.equal(node.trim(), '/usr/lib/hubgate/bin/node');
  await machine.mustRun('dpkg', '--install', file);
  await machine.ready();
  assert.notEqual(await pid(), first);
});

test('lintian finds nothing in the Debian package', { skip }, async () => {
  // It takes a minute for all modules, and learns nothing of them.
  const program = (await programFiles(NPM_PACKAGE)).filter(
    ({ path: at }) => !at.startsWith('node_modules/') || at.startsWith('node_modules/argon2/'),
  );
  const facts = releaseFacts();
  const parts = { program, node: readFileSync('/bin/true'), bill: billOfPackage(facts) };
  const file = path.join(directory, 'lintian.deb');
  await writeFile(file, await debianPackage(facts, parts));
  const { code, output } = await run('lintian', ['--allow-root', '--fail-on', 'error,warning', file]);
  assert.deepEqual([code, output], [0, '']);
});

test('podman loads the image, and runs it without rights on a read-only root: an image is pulled', {
  skip,
}, async (t) => {
  const storage = path.join(directory, 'podman');
  const podman = [
    '--root',
    path.join(storage, 'root'),
    '--runroot',
    path.join(storage, 'run'),
    '--storage-driver',
    'vfs',
    // crun, which Debian prefers, refuses a machine that has both versions of cgroups.
    '--runtime',
    'runc',
  ];
  t.after(() => run('podman', [...podman, 'rm', '--all', '--force', '--volumes']));
  const archive = path.join(DIST, `hubgate-${VERSION}-image-${releaseFacts().architecture}.tar`);
  await mustRun('podman', [...podman, 'load', '--input', archive]);
  const image = `docker.io/library/hubgate:${VERSION}`;
  const volumes = ['config', 'certs', 'state', 'data', 'log', 'run'].flatMap((name) => [
    '--volume',
    `/hubgate/${name}`,
  ]);
  const limits = ['nofile=1024:1024', 'nproc=1024:1024'].flatMap((limit) => ['--ulimit', limit]);
  const flags = [
    '--rm',
    '--network=host',
    '--read-only',
    '--cap-drop=ALL',
    '--security-opt=no-new-privileges',
    ...limits,
  ];
  const output = await pullThrough((environment) => {
    const variables = environment.flatMap((one) => ['--env', one]);
    return startProcess('podman', [...podman, 'run', ...flags, ...volumes, ...variables, image], { ready });
  });
  assert.match(output, /to set another one: hubgate user passwd admin$/m);
  const inShell = (script: string, ...more: string[]) =>
    mustRun('podman', [...podman, 'run', ...flags, ...more, '--entrypoint', 'sh', image, '-ec', script]);
  const said = await inShell('id -u; hubgate --version');
  assert.deepEqual(said.trim().split(/\s+/), ['1000', VERSION]);
  const names = await inShell(
    'cd /usr/bin; for one in *; do [ "$(busybox readlink "$one")" != busybox ] || echo "$one"; done',
  );
  const applets = (await inShell('busybox --list')).trim().split('\n');
  assert.ok(names.includes('chown\n'));
  assert.deepEqual(
    names
      .trim()
      .split('\n')
      .filter((name) => !applets.includes(name)),
    [],
    'busybox has no such applet',
  );
  const setup = (await readServices(path.join(ROOT, 'deploy/compose/separate.yaml'))).get('setup');
  const capabilities = setup?.cap_add.flatMap((one) => ['--cap-add', one]) ?? [];
  const script = `${setup?.command.join('\n').replaceAll('$$', '$')}`.replace(/^exec .*$/m, '');
  const prepared = await inShell(
    `${script}\nstat -c '%a %u:%g' $users /hubgate/config /hubgate/run/core`,
    ...['--user', '0:0', ...capabilities, ...volumes],
  );
  assert.deepEqual(prepared.trim().split('\n'), ['600 10002:10002', '1775 0:10002', '2750 10001:10003']);
});
