/** What `npm run release` makes, of a small program in the place of the whole one. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import packageJson from '../../package.json' with { type: 'json' };
import { program } from '../../src/bin/hubgate.ts';
import { type Entry, fileEntry, linkEntry, readTar, sha256, tarOf } from '../../tools/release/archive.ts';
import { billOfPackage, billWith, printedBill } from '../../tools/release/bill-of-materials.ts';
import { chartArchive } from '../../tools/release/chart-archive.ts';
import { debianPackage } from '../../tools/release/debian-package.ts';
import { imageArchive } from '../../tools/release/image-archive.ts';
import { manPages } from '../../tools/release/man-pages.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const TIME = new Date('2026-11-30T10:00:00Z');
const RELEASE = {
  root: ROOT,
  version: packageJson.version,
  description: packageJson.description,
  time: TIME,
  architecture: 'amd64',
};
const BILL = billOfPackage(RELEASE);
const PROGRAM = [
  fileEntry('lib/bin/hubgate.js', ''),
  fileEntry('bin/hubgate.cjs', '', 0o755),
  fileEntry('docs/README.md', ''),
];
const NODE = Buffer.from('node');

test('an archive is the same in whatever order and whenever its files come', async () => {
  const entries: Entry[] = [fileEntry('b/file', 'text', 0o755), linkEntry('a', 'b/file'), fileEntry('c', '')];
  const archive = tarOf(entries, TIME);
  assert.deepEqual(tarOf(entries.toReversed(), TIME), archive);
  assert.notDeepEqual(tarOf(entries, new Date(0)), archive);
  assert.deepEqual(await readTar(archive), [entries[1], entries[0], entries[2]]);
});

test('the chart is packed with every file, and twice to the same bytes', async () => {
  const packed = await chartArchive(TIME);
  assert.deepEqual(await chartArchive(TIME), packed);
  const names = (await readTar(packed)).map((entry) => entry.path);
  for (const wanted of ['Chart.yaml', 'values.yaml', 'values.schema.json', 'templates/statefulset.yaml'])
    assert.ok(names.includes(`hubgate/${wanted}`), wanted);
});

test('a bill of materials names the modules of the program, and neither a place nor a time of the build', () => {
  const printed = printedBill(BILL);
  assert.deepEqual(printedBill(billOfPackage(RELEASE)), printed);
  assert.doesNotMatch(printed.toString(), /"resolved"|\.tgz/);
  const { component, timestamp } = BILL.metadata;
  assert.deepEqual([component.name, component.version], ['hubgate', packageJson.version]);
  assert.equal(timestamp, TIME.toISOString());
  const names = BILL.components.map(({ name }) => name);
  assert.ok(
    BILL.dependencies.every(
      ({ ref }) => ref === component['bom-ref'] || BILL.components.some((one) => one['bom-ref'] === ref),
    ),
  );
  for (const wanted of Object.keys(packageJson.dependencies)) assert.ok(names.includes(wanted), wanted);
  for (const unwanted of Object.keys(packageJson.devDependencies))
    assert.ok(!names.includes(unwanted), unwanted);
  const added = { 'bom-ref': 'node@1', type: 'application', name: 'node', version: '1' };
  const whole = billWith(BILL, { type: 'container', purl: 'pkg:generic/x@1' }, [added], RELEASE);
  assert.ok(whole.dependencies[0]?.dependsOn.includes('node@1'));
  assert.notEqual(whole.serialNumber, BILL.serialNumber);
});

test('there is a manual page for hubgate and for each verb, with its options', () => {
  const pages = manPages(packageJson.version, TIME);
  const verbs = program(() => {}).commands.map((verb) => `hubgate-${verb.name()}`);
  assert.deepEqual(
    pages.map(({ name }) => name).toSorted(),
    ['hubgate', ...verbs.filter((one) => !one.endsWith('-help'))].toSorted(),
  );
  const user = pages.find(({ name }) => name === 'hubgate-user')?.text ?? '';
  assert.match(user, /^\.SS "hubgate user add"$/m);
  assert.match(user, /^\\fB\\-\\-password\\-stdin\\fR$/m);
  for (const { name, text } of pages) {
    const requests = [...text.matchAll(/^[.'](\S*)/gm)].map(([, request]) => request ?? '');
    for (const request of requests) assert.match(request, /^(?:TH|SH|SS|TP|PP|B|BR|nf|fi)$/, name);
  }
});

test('the Debian package is the same twice, and its units, command and manual are in the places for them', async () => {
  const parts = { program: PROGRAM, node: NODE, bill: BILL };
  const archive = await debianPackage(RELEASE, parts);
  assert.equal(sha256(await debianPackage(RELEASE, parts)), sha256(archive));
  const members = membersOf(archive);
  assert.deepEqual([...members.keys()], ['debian-binary', 'control.tar.gz', 'data.tar.gz']);
  const files = new Map(
    (await readTar(members.get('data.tar.gz') ?? Buffer.of())).map((entry) => [entry.path, entry]),
  );
  const text = (at: string) => {
    const entry = files.get(at);
    return entry?.kind === 'file' ? entry.content.toString() : '';
  };
  for (const unit of ['hubgate', 'hubgate-core', 'hubgate-auth', 'hubgate-gateway']) {
    const lines = text(`usr/lib/systemd/system/${unit}.service`);
    assert.match(
      lines,
      /^ExecStart=\/usr\/lib\/hubgate\/bin\/node \/usr\/lib\/hubgate\/lib\/bin\/hubgate\.js start/m,
    );
    assert.doesNotMatch(lines, /\/opt\//);
  }
  assert.match(
    text('usr/bin/hubgate'),
    /^exec \/usr\/lib\/hubgate\/bin\/node \/usr\/lib\/hubgate\/lib\/bin\/hubgate\.js "\$@"$/m,
  );
  for (const wanted of [
    'usr/share/man/man1/hubgate-start.1.gz',
    'usr/share/bash-completion/completions/hubgate',
    'usr/share/doc/hubgate/docs/README.md',
    'usr/lib/hubgate/lib/bin/hubgate.js',
  ])
    assert.ok(files.has(wanted), wanted);
  const control = await readTar(members.get('control.tar.gz') ?? Buffer.of());
  assert.deepEqual(control.map((entry) => entry.path).toSorted(), [
    ...['conffiles', 'control', 'md5sums', 'postinst', 'postrm', 'prerm'],
  ]);
});

/** The members of an archive of ar(1). */
function membersOf(archive: Buffer): Map<string, Buffer> {
  const members = new Map<string, Buffer>();
  for (let at = 8; at < archive.length; ) {
    const header = archive.toString('latin1', at, at + 60);
    const size = Number(header.slice(48, 58));
    members.set(header.slice(0, 16).trim(), archive.subarray(at + 60, at + 60 + size));
    at += 60 + size + (size % 2);
  }
  return members;
}

test('the image is the same twice, and is run as the Dockerfile says', async () => {
  const parts = { program: PROGRAM, node: NODE, libraries: [fileEntry('etc/os-release', 'ID=debian')] };
  const archive = await imageArchive(RELEASE, parts);
  assert.equal(sha256(await imageArchive(RELEASE, parts)), sha256(archive));
  const files = new Map((await readTar(archive)).map((entry) => [entry.path, entry]));
  const json = (at: string) => {
    const entry = files.get(at);
    return JSON.parse(entry?.kind === 'file' ? entry.content.toString() : 'null');
  };
  for (const [at, entry] of files) {
    if (at.startsWith('blobs/') && entry.kind === 'file')
      assert.equal(at, `blobs/sha256/${sha256(entry.content)}`);
  }
  const place = (digest: string) => `blobs/${digest.replace(':', '/')}`;
  const manifest = json(place(json('index.json').manifests[0].digest));
  const [docker] = json('manifest.json');
  assert.equal(docker.Config, place(manifest.config.digest));
  assert.deepEqual(
    docker.Layers,
    manifest.layers.map(({ digest }: { digest: string }) => place(digest)),
  );
  const { config } = json(docker.Config);
  const dockerfile = readFileSync(path.join(ROOT, 'Dockerfile'), 'utf8');
  const instruction = (name: string) =>
    [...dockerfile.matchAll(new RegExp(`^${name} (.*)$`, 'gm'))].map(([, value]) => value ?? '').at(-1) ?? '';
  assert.equal(config.User, instruction('USER'));
  assert.equal(config.WorkingDir, instruction('WORKDIR'));
  assert.deepEqual(config.Cmd, JSON.parse(instruction('CMD')));
  assert.deepEqual(
    config.Entrypoint,
    JSON.parse(instruction('ENTRYPOINT').replace('/src/bin/hubgate.ts', '/lib/bin/hubgate.js')),
  );
  assert.deepEqual(Object.keys(config.ExposedPorts), [`${instruction('EXPOSE')}/tcp`]);
  assert.ok(config.Env.includes(instruction('ENV')));
  const [, probe = ''] = /CMD (\[.*fetch.*\])$/m.exec(dockerfile) ?? [];
  assert.deepEqual(config.Healthcheck.Test, ['CMD', ...JSON.parse(probe)]);
});
