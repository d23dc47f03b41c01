import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { formatText, serializeError } from '../../src/platform/log.ts';
import { ALL_CONTROLS, UNPRINTABLE } from '../support/controls.ts';
import { SmallDisk } from '../support/small-disk.ts';

const write = (fields: object) =>
  formatText({ level: 40, time: '…', process: 'core', msg: 'it happened', ...fields }, 'msg');

/** A process that logs to `file`. */
async function logging(format: 'json' | 'text', file: string) {
  const output = await open(file, 'a');
  const fixture = path.join(import.meta.dirname, 'fixtures/logging.ts');
  const child = fork(fixture, [format], { stdio: ['ignore', output.fd, 'inherit', 'ipc'] });
  return {
    log: async (text: string, times = 1) => {
      child.send({ text, times });
      const [said] = await Promise.race([once(child, 'message'), once(child, 'exit')]);
      assert.equal(said, 'logged');
    },
    [Symbol.asyncDispose]: async () => {
      if (child.connected) child.disconnect();
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      await output.close();
    },
  };
}

test('a line for people has its fields in it, and lists and stacks below it', () => {
  assert.equal(write({}), 'core: it happened');
  assert.equal(
    write({ host: 'docker.io:443', pause: 100, known: null, detail: 'no answer' }),
    'core: it happened  host=docker.io:443 pause=100 known=null detail="no answer"',
  );
  assert.equal(write({ faults: ['a:1: x', 'b:2: y'] }), 'core: it happened\n    a:1: x\n    b:2: y');
  assert.equal(write({ error: 'Error: x\n    at y', role: 'core' }).split('\n').length, 3);
});

test('what others wrote is no command to a terminal', () => {
  const text = write({
    a: '\x1b[2J',
    b: 'x\u009b2J',
    c: ['\x1b]0;title\x07'],
    d: 'x\ny\r\x7fz',
    msg: '\x1bc',
  });
  assert.doesNotMatch(text, UNPRINTABLE);
  assert.match(text, /a="\\u001b\[2J" b="x\\u009b2J"/);
});

test('no control character, C1 and bidirectional ones among them, is in a log, whatever its format', async () => {
  for (const format of ['json', 'text'] as const) {
    const file = path.join(tmpdir(), `hubgate-log-${process.pid}-${format}`);
    await using process_ = await logging(format, file);
    await process_.log(`a${ALL_CONTROLS}b`);
    const text = await readFile(file, 'utf8');
    await rm(file);
    assert.doesNotMatch(text, UNPRINTABLE);
    assert.match(text, /\\u009b.*\\u202e.*\\u2066/);
    if (format === 'json') assert.equal(JSON.parse(text).text, `a${ALL_CONTROLS}b`);
  }
});

test('a full disk under the log ends no process; its lines wait, and those that are lost are counted', async (t) => {
  await using disk = await SmallDisk.make('8m');
  if (disk === undefined) return t.skip('no file system can be mounted here');
  for (const format of ['json', 'text'] as const) {
    const file = path.join(disk.directory, format);
    await using process_ = await logging(format, file);
    await process_.log('before');
    await disk.fill();
    await process_.log('x'.repeat(500), 4000);
    await disk.free();
    // Neither has room among the lines that wait.
    await process_.log('x'.repeat(900));
    await process_.log(`last ${'x'.repeat(900)}`);
    const lines = (await readFile(file, 'utf8')).trim().split('\n');
    // The number that was lost while the disk was full waits with the lines. A later one says what was lost
    // since.
    const lost = lines
      .map((line) => Number(/"?lost"?[:=](\d+)/.exec(line)?.[1] ?? 0))
      .reduce((sum, number) => sum + number, 0);
    const logged = lines.filter((line) => /number/.test(line));
    assert.ok(logged.some((line) => /last/.test(line)));
    assert.ok(lost > 0);
    assert.equal(logged.length + lost, 4003);
  }
});

test('an error is logged with its cause and both stacks, and without what else it carries', () => {
  const cause = Object.assign(new Error('no space'), { code: 'ENOSPC', stdout: 'a secret' });
  const error = Object.assign(new Error('not written', { cause }), { code: 'EIO', headers: 'a secret' });
  const logged = serializeError(error);
  assert.deepEqual(Object.keys(logged), ['type', 'message', 'code', 'stack', 'cause']);
  assert.deepEqual([logged.type, logged.message, logged.code], ['Error', 'not written', 'EIO']);
  assert.match(logged.stack, /^Error: not written\n {4}at /);
  assert.deepEqual(Object.keys(logged.cause ?? {}), ['type', 'message', 'code', 'stack']);
  assert.deepEqual([logged.cause?.message, logged.cause?.code], ['no space', 'ENOSPC']);
  assert.doesNotMatch(JSON.stringify(logged), /secret/);
  const [first, ...stack] = write({ file: 'index.db', err: logged }).split('\n');
  assert.equal(first, 'core: it happened  file=index.db err="not written"');
  const below = [...logged.stack.split('\n'), ...`caused by: ${logged.cause?.stack}`.split('\n')];
  assert.deepEqual(
    stack,
    below.map((line) => `    ${line}`),
  );
});

test('an error that is its own cause is logged, and so is what is no error', () => {
  const circle = new Error('again');
  circle.cause = circle;
  assert.match(write({ err: serializeError(circle) }), /err=again/);
  assert.equal(serializeError('thrown').message, 'thrown');
});

test('a line has the name of its level and its full date, whatever its format', async () => {
  for (const format of ['json', 'text'] as const) {
    const file = path.join(tmpdir(), `hubgate-levels-${process.pid}-${format}`);
    await using process_ = await logging(format, file);
    await process_.log('a text');
    const text = await readFile(file, 'utf8');
    await rm(file);
    const expected =
      format === 'json'
        ? /^\{"level":"info","time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"/
        : /^\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\] INFO: /;
    assert.match(text, expected);
  }
});
