import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SingleFlight } from '../../src/platform/scheduling/single-flight.ts';
import { NobodyWaits, throwIfNobodyWaits, workFor } from '../../src/platform/scheduling/waiters.ts';

/** A task of two steps, the second of which is not begun if nobody waits. */
function flightOf(gate: Promise<void>, settled: Promise<void> = Promise.resolve()) {
  const flight = new SingleFlight<number>();
  let begun = 0;
  const ask = (gone: AbortSignal) =>
    workFor(gone, () =>
      flight.run('key', async () => {
        const number = ++begun;
        await gate;
        try {
          throwIfNobodyWaits();
        } catch (error) {
          await settled;
          throw error;
        }
        return number;
      }),
    );
  return ask;
}

test('what several wait for is done once, and goes on as long as one of them waits', async () => {
  const gate = Promise.withResolvers<void>();
  const ask = flightOf(gate.promise);
  const first = new AbortController();
  const answers = [ask(first.signal), ask(new AbortController().signal)];
  first.abort();
  gate.resolve();
  assert.deepEqual(await Promise.all(answers), [1, 1]);
});

test('what nobody waits for any more is given up', async () => {
  const gate = Promise.withResolvers<void>();
  const ask = flightOf(gate.promise);
  const clients = [new AbortController(), new AbortController()];
  const answers = clients.map(({ signal }) => ask(signal));
  for (const client of clients) client.abort();
  gate.resolve();
  for (const answer of answers) await assert.rejects(answer, NobodyWaits);
});

test('who joins what was just given up begins it again', async () => {
  const settled = Promise.withResolvers<void>();
  const ask = flightOf(Promise.resolve(), settled.promise);
  const first = new AbortController();
  const given = ask(first.signal);
  first.abort();
  const rejected = assert.rejects(given, NobodyWaits);
  await new Promise((resolve) => setImmediate(resolve));
  const joined = ask(new AbortController().signal);
  settled.resolve();
  await rejected;
  assert.equal(await joined, 2);
});

test('a result that is for its first caller alone makes the others ask for themselves', async () => {
  const flight = new SingleFlight<string>((result) => result.startsWith('refused'));
  const gate = Promise.withResolvers<void>();
  const ask = (name: string, result: string) =>
    flight.run('key', async () => {
      await gate.promise;
      return `${result} ${name}`;
    });
  const answers = [ask('one', 'refused'), ask('two', 'refused'), ask('three', 'given'), ask('four', 'given')];
  gate.resolve();
  const results = await Promise.all(answers);
  assert.deepEqual(results.slice(0, 2), ['refused one', 'refused two']);
  assert.deepEqual(new Set(results.slice(2)), new Set(['given three']));
});
