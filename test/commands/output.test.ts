import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { COMPILED } from '../support/compiled.ts';
import { ALL_CONTROLS, UNPRINTABLE } from '../support/controls.ts';

const BIN = path.join(import.meta.dirname, '../../src/bin/hubgate.ts');
const EVERY_VERB = path.join(import.meta.dirname, 'fixtures/every-verb.ts');
/** Of the audit log: more than the pipes and buffers between two processes hold. */
const LINES = 4000;
/** Without those at which a reader of lines ends one. */
const WRITTEN = ALL_CONTROLS.replaceAll(/[\u2028\u2029]/gu, '');

let home: string;
/** Its audit log is short, because many verbs read it many times. */
let small: string;

before(async () => {
  [home, small] = [await makeHome(LINES), await makeHome(20)];
});

after(async () => {
  for (const made of [home, small]) await rm(made, { recursive: true });
});

async function makeHome(lines: number): Promise<string> {
  const home = await mkdtemp(path.join(tmpdir(), 'hubgate-output-'));
  await mkdir(path.join(home, 'config'));
  await mkdir(path.join(home, 'state'));
  const because = JSON.stringify('\x1b[31m').slice(1, -1);
  await writeFile(
    path.join(home, 'config/access.yaml'),
    `version: 1
allow: [{ id: base, pull: everything, to: authenticated }]
deny: [{ id: pinned, pull: library/nginx, to: ana, because: "${because}\u202e" }]
...
`,
  );
  const line = {
    time: new Date().toISOString(),
    ...{ action: 'pull', subject: `user:${WRITTEN}`, decision: 'deny', status: 403, address: '::1' },
    repository: `docker.io/${WRITTEN}`,
  };
  await writeFile(path.join(home, 'state/audit.log'), `${JSON.stringify(line)}\n`.repeat(lines));
  return home;
}

function hubgate(args: readonly string[], stdout: number | 'pipe' = 'pipe') {
  return spawn(process.execPath, [BIN, ...args], {
    ...{ cwd: home, stdio: ['ignore', stdout, 'pipe'] },
    env: { ...process.env, ...COMPILED },
  });
}

test('no verb prints a control character, whatever it is given, except the ends of lines', async () => {
  const child = spawn(process.execPath, [EVERY_VERB, small], {
    cwd: small,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const said = await text(child.stdout ?? assert.fail());
  const [, ran, escaped] = /^ran: (\d+) escaped: (\d+)\n$/.exec(said) ?? assert.fail(said.slice(0, 2000));
  assert.ok(Number(ran) > 200, said);
  // The verbs of a cluster, which this home is not, say so before they look at what they were given.
  assert.ok(Number(escaped) > Number(ran) / 5, said);
});

test('what is printed of the audit log is safe to be shown, and with --json the same JSON', async () => {
  for (const args of [['audit'], ['audit', '--requests'], ['audit', '--json']]) {
    const child = hubgate(args);
    const [printed] = await Promise.all([text(child.stdout ?? assert.fail()), once(child, 'exit')]);
    assert.doesNotMatch(printed, UNPRINTABLE);
    const lines = printed.trimEnd().split('\n');
    assert.equal(lines.length, args.includes('--json') ? LINES : LINES + 1);
    if (args.includes('--json')) assert.equal(JSON.parse(lines[0] ?? '').repository, `docker.io/${WRITTEN}`);
  }
});

test('a reader that leaves, as head does, is no failure, and ends what would go on for long', async () => {
  for (const args of [['audit'], ['audit', '--json'], ['schema', 'config'], ['--help'], ['user', 'list']]) {
    const child = hubgate(args);
    child.stdout?.once('data', () => child.stdout?.destroy());
    if (args[0] === 'user') child.stdout?.destroy();
    const [complaint, [code]] = await Promise.all([text(child.stderr ?? assert.fail()), once(child, 'exit')]);
    assert.deepEqual({ args, code, complaint }, { args, code: 0, complaint: '' });
  }
});

test('an exit code says what was found also where nobody reads what was printed', async () => {
  const child = hubgate(['access', 'explain', 'ana', 'nginx']);
  child.stdout?.destroy();
  const [code] = await once(child, 'exit');
  assert.equal(code, 1);
});

test('output that cannot be written for another reason is a failure that says so', async () => {
  await using full = await open('/dev/full', 'w');
  const child = hubgate(['schema', 'config'], full.fd);
  const [complaint, [code]] = await Promise.all([text(child.stderr ?? assert.fail()), once(child, 'exit')]);
  assert.equal(code, 1);
  assert.match(complaint, /^hubgate: the output cannot be written: /);
});
