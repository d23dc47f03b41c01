import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { shareOpenFiles } from '../../src/gateway/http/open-files.ts';
import { RunningMirror } from '../support/running-mirror.ts';
import { waitFor } from '../support/wait-for.ts';

const LINUX = { skip: process.platform !== 'linux' && 'gateways share no ports there' };

/** Opens this many idle connections. The mirror closes those beyond its limit. */
async function crowd(port: number, count: number): Promise<readonly Socket[]> {
  const sockets = Array.from({ length: count }, () => connect(port, '127.0.0.1'));
  await Promise.all(
    sockets.map(async (socket) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      socket.on('error', () => {});
      socket.once('connect', resolve).once('close', resolve);
      await promise;
    }),
  );
  return sockets;
}

for (const { openFiles, workers, connections } of [
  { openFiles: 256, workers: 1, connections: 400 },
  { openFiles: 1024, workers: 2, connections: 2600 },
]) {
  test(
    `a crowd of ${connections} with ${openFiles} open files keeps nobody out after it has left`,
    LINUX,
    async () => {
      await using mirror = await RunningMirror.start({ openFiles, workers });
      const sockets = await crowd(mirror.port, connections);
      await waitFor(() => mirror.output.includes('connections are refused'));
      const whileThere = await mirror.admin('/readyz');
      assert.match(
        whileThere.body.toString(),
        /as many connections as its open files allow|without an answer/,
      );
      assert.equal((await mirror.admin('/healthz')).status, 200);
      for (const socket of sockets) socket.destroy();
      await waitFor(
        async () =>
          (await mirror.admin('/readyz').catch(() => undefined))?.body.includes(
            '"listener":{"ready":true',
          ) === true,
      );
      for (let asked = 0; asked < 12; asked++) assert.equal((await mirror.ask('/v2/')).status, 401);
      assert.doesNotMatch(mirror.output, /EMFILE|a role ended/);
      const doctor = await mirror.run('doctor');
      assert.match(doctor.output, /takes no more than \d+ connections in each gateway/);
      assert.match(doctor.output, /LimitNOFILE/);
    },
  );
}

test('connections never take all files that may be open', () => {
  for (const limit of [256, 1024, 4096, 20_000, 524_288, Number.POSITIVE_INFINITY]) {
    const { connections, blobs } = shareOpenFiles(limit);
    assert.ok(connections * 3 + blobs + 64 <= limit, String(limit));
  }
});

test('with too few open files it does not start, and says what to do', LINUX, async () => {
  await using mirror = await RunningMirror.start({ openFiles: 200, mayFail: true });
  assert.match(mirror.output, /^hubgate: a process may have only 200 files open.*at least 256.*LimitNOFILE/);
});

test(
  'several gateways share a port with each other, and with no other mirror of the same user',
  LINUX,
  async () => {
    await using mirror = await RunningMirror.start({ workers: 2 });
    const address = `127.0.0.1:${mirror.port}`;
    await using other = await RunningMirror.start({
      workers: 2,
      mayFail: true,
      environment: { HUBGATE_SERVER_LISTEN: address },
    });
    assert.match(
      other.output,
      new RegExp(`^hubgate: port ${mirror.port} \\(server\\.listen\\) is in use`, 'm'),
    );
    assert.equal((await mirror.ask('/v2/')).status, 401);
  },
);
