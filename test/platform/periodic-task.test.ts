import assert from 'node:assert/strict';
import { once as onceEmitted } from 'node:events';
import { test } from 'node:test';
import pino from 'pino';
import { runInBackground, runPeriodically } from '../../src/platform/scheduling/periodic-task.ts';

test('a task that fails is logged and run again; one that ends because it was told to has not failed', async () => {
  const lines: string[] = [];
  const log = pino({}, { write: (line: string) => lines.push(line) });
  const waiting = Promise.withResolvers<void>();
  let runs = 0;
  const task = async (signal: AbortSignal) => {
    if (runs++ === 0) throw new Error('the first run');
    waiting.resolve();
    await onceEmitted(signal, 'abort');
    throw signal.reason;
  };
  const periodic = runPeriodically(0, task as (signal: AbortSignal) => Promise<undefined>, log);
  await waiting.promise;
  await periodic[Symbol.asyncDispose]();
  const single = runInBackground(async (signal) => {
    await onceEmitted(signal, 'abort');
    throw signal.reason;
  }, log);
  await single[Symbol.asyncDispose]();
  assert.equal(runs, 2);
  assert.equal(lines.length, 1);
  assert.match(lines[0] ?? '', /the first run/);
});
