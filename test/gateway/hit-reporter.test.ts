import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { HitReporter } from '../../src/gateway/clients/hit-reporter.ts';
import { openLocalCoreClient } from '../../src/gateway/clients/local-core-client.ts';
import { formatLine, readLines } from '../../src/platform/ipc/json-lines.ts';
import { serveOnSocket } from '../../src/platform/ipc/unix-socket.ts';
import { FakeHub } from '../support/fake-hub.ts';
import { imageOf } from '../support/image.ts';
import { TestCore } from '../support/test-core.ts';
import { type LoggedLine, testLog } from '../support/test-log.ts';
import { waitFor } from '../support/wait-for.ts';

const { digest } = imageOf();
const SERVED = {
  caller: 'ana',
  upstream: 'docker.io',
  path: 'library/alpine',
  kind: 'manifest',
  method: 'GET',
  reference: 'latest',
  digest,
} as const;

test('invariant 16: a core that does not keep up is told no more than so much, and holds up nothing', async () => {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-reports-'));
  stack.defer(() => rm(directory, { recursive: true }));
  const socket = path.join(directory, 'core.sock');
  const gate = Promise.withResolvers<void>();
  let asked = 0;
  stack.use(
    await serveOnSocket(socket, async (request, response) => {
      const lines = readLines(request);
      for (;;) {
        const served = (await lines.next().catch(() => undefined)) as unknown[] | undefined;
        if (served === undefined) break;
        asked++;
        await gate.promise;
        response.write(formatLine(served.map(() => 'id')));
      }
      response.end();
    }),
  );
  const core = stack.use(openLocalCoreClient({ socket, directory }));
  const reports = stack.use(new HitReporter(core));
  void reports.add(SERVED);
  await waitFor(() => asked === 1);
  const waiting = Array.from({ length: 20_000 }, () => reports.add(SERVED));
  assert.equal(await reports.add(SERVED), undefined);
  assert.ok(asked < 20, 'it waited until all the others were sent');
  gate.resolve();
  assert.deepEqual(new Set((await Promise.all(waiting)).slice(-1_000)), new Set(['id']));
});

// Of five seconds, which a request under way that nobody ends would take.
test('a core ends with an exchange of reports open, and the next one is told', {
  timeout: 4_000,
}, async () => {
  await using hub = await FakeHub.start();
  await using core = await TestCore.start(hub);
  const { directory } = core;
  await using way = openLocalCoreClient({ socket: path.join(directory, 'core.sock'), directory });
  const [before] = await way.reportHits([SERVED]);
  assert.match(String(before), /^[0-9a-f]{16}$/);
  await core.restart();
  const [after] = await way.reportHits([SERVED]);
  assert.match(String(after), /^[0-9a-f]{16}$/);
  assert.notEqual(after, before);
});

test('that a gateway or the core ends is no fault of the core', async () => {
  await using hub = await FakeHub.start();
  const log: LoggedLine[] = [];
  await using core = await TestCore.start(hub, { log: testLog(log) });
  const { directory } = core;
  for (const ends of ['gateway', 'core']) {
    await using way = openLocalCoreClient({ socket: path.join(directory, 'core.sock'), directory });
    await way.reportHits([SERVED]);
    if (ends === 'core') await core.restart();
  }
  await core.restart();
  assert.deepEqual(
    log.filter(({ msg }) => msg === 'the core failed'),
    [],
  );
});

test('a report that is none, or too long, ends its exchange and no other', async () => {
  await using hub = await FakeHub.start();
  await using core = await TestCore.start(hub);
  const wrong = [{ ...SERVED, kind: 'tag' }] as unknown as (typeof SERVED)[];
  await assert.rejects(core.served(wrong));
  await assert.rejects(core.served([{ ...SERVED, caller: 'x'.repeat(9 * 1024 * 1024) }]));
  assert.equal((await core.served([SERVED])).length, 1);
});
