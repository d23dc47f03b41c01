import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { openBuiltinCore } from '../../src/gateway/handover/builtin-core.ts';
import { ServedReports } from '../../src/gateway/handover/served-reports.ts';
import { serveOnSocket } from '../../src/platform/unix-socket.ts';
import { imageOf } from '../support/image.ts';
import { waitFor } from '../support/wait-for.ts';

const { digest } = imageOf();
const SERVED = {
  caller: 'ana',
  repository: 'docker.io/library/alpine',
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
      asked++;
      const served: unknown[] = JSON.parse(await text(request));
      await gate.promise;
      response.end(JSON.stringify(served.map(() => 'id')));
    }),
  );
  const core = stack.use(openBuiltinCore({ socket, directory }));
  const reports = stack.use(new ServedReports(core));
  void reports.add(SERVED);
  await waitFor(() => asked === 1);
  const waiting = Array.from({ length: 20_000 }, () => reports.add(SERVED));
  assert.equal(await reports.add(SERVED), undefined);
  assert.ok(asked < 20, 'it waited until all the others were sent');
  gate.resolve();
  assert.deepEqual(new Set((await Promise.all(waiting)).slice(-1_000)), new Set(['id']));
});
