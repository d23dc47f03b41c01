import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { formatBar, TransferProgress, TransferRate } from '../../src/commands/progress.ts';

function terminal(columns?: number) {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  if (columns !== undefined) Object.assign(stderr, { isTTY: true, columns });
  /** What was written since it was last asked. */
  const shown = () => {
    let text = '';
    for (let chunk = stderr.read(); chunk !== null; chunk = stderr.read()) text += chunk;
    return text;
  };
  return { stdin, stdout, stderr, shown };
}

test('lines are drawn over the ones before, below those that stay, and taken away at the end', () => {
  const screen = terminal(12);
  let lines = ['one', 'a line that is too long'];
  const progress = new TransferProgress(screen, () => lines);
  progress.draw();
  assert.equal(screen.shown(), 'one\na line that\n');
  lines = ['two\x1b\u202e'];
  progress.draw();
  assert.equal(screen.shown(), '\x1b[2A\r\x1b[Jtwo\\u001b\\u\n');
  progress.print(screen.stderr, 'it stays');
  assert.equal(screen.shown(), '\x1b[1A\r\x1b[Jit stays\ntwo\\u001b\\u\n');
  progress[Symbol.dispose]();
  progress.draw();
  assert.equal(screen.shown(), '\x1b[1A\r\x1b[J');
});

test('where nobody looks on nothing is drawn', () => {
  const log = terminal();
  using progress = new TransferProgress(log, () => ['under way']);
  progress.draw();
  progress.print(log.stderr, 'done');
  assert.equal(log.shown(), 'done\n');
});

test('a bar is as full as what is done, and a rate that of the last seconds', () => {
  assert.equal(formatBar(0, undefined), `[${'-'.repeat(24)}]`);
  assert.equal(formatBar(1, 4), `[${'#'.repeat(6)}${'-'.repeat(18)}]`);
  assert.equal(formatBar(9, 4), `[${'#'.repeat(24)}]`);
  let now = 0;
  const rate = new TransferRate(() => now);
  const after = (seconds: number, bytes: number) => {
    now += seconds * 1000;
    rate.add(bytes);
    return rate.write();
  };
  assert.equal(after(2, 2048), '1.0 KiB/s');
  assert.equal(after(5, 0), '0 bytes/s');
});
