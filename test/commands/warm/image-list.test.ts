import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { readImageList } from '../../../src/commands/warm/image-list.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;

const read = (args: readonly string[], typed = '') =>
  readImageList(args, {
    upstreams: new Set(['docker.io', 'ghcr.io']),
    self: 'mirror.corp:8443',
    stdin: Readable.from([typed]),
  });

async function names(args: readonly string[], typed?: string): Promise<readonly string[]> {
  const list = await read(args, typed);
  return 'value' in list ? list.value.map(({ name }) => name) : assert.fail(JSON.stringify(list.faults));
}

test('images come in every form in which clients write them, each once', async () => {
  const forms = [
    'alpine',
    'library/alpine:latest',
    'index.docker.io/library/alpine',
    'mirror.corp:8443/alpine',
  ];
  assert.deepEqual(await names(forms), ['docker.io/library/alpine:latest']);
  assert.deepEqual(await names([`ghcr.io/acme/x:1@${DIGEST}`, 'mirror.corp:8443/ghcr.io/acme/x:1']), [
    `ghcr.io/acme/x@${DIGEST}`,
    'ghcr.io/acme/x:1',
  ]);
});

test('files and the standard input have one a line, with comments; all mistakes are said at once, with their lines', async (t) => {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-list-'));
  t.after(() => rm(directory, { recursive: true }));
  const at = (name: string) => path.join(directory, name);
  await writeFile(at('images.txt'), '\uFEFF# base\r\nalpine:3  # pinned\r\n\r\n  acme/x\r\n');
  await writeFile(at('images'), 'alpine:3\nUPPER\n\nquay.io/acme/x\nalpine:bad tag\n');
  await mkdir(at('library'));
  const list = ['docker.io/library/alpine:3', 'docker.io/acme/x:latest'];
  assert.deepEqual(await names([at('images.txt'), '-'], 'b:1'), [...list, 'docker.io/library/b:1']);
  const wrong = await read([at('images'), at('none.txt'), at('library'), '-'], 'c\n@\n');
  assert.ok('faults' in wrong);
  assert.deepEqual(
    wrong.faults.map(({ source, line }) => `${path.basename(source)}:${line ?? ''}`),
    ['none.txt:', 'images:2', 'images:4', 'images:5', 'argument 3:', 'standard input:2'],
  );
  assert.match(
    wrong.faults[2]?.message ?? '',
    /quay\.io is none of the upstreams of this mirror: docker\.io, ghcr\.io/,
  );
});
