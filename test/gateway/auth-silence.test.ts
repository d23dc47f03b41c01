import assert from 'node:assert/strict';
import { test } from 'node:test';
import { imageOf } from '../support/image.ts';
import { RunningMirror } from '../support/running-mirror.ts';
import { starvedFor } from '../support/starved-for.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';

const ALPINE = '/v2/library/alpine/manifests/latest';

test('what auth may have withdrawn is refused when it has not answered for too long, and served when it is back', async (t) => {
  // This is longer than auth waits before it answers that nothing has changed.
  const limits = { authSilence: 6_000 };
  const policy = 'allow:\n  - { id: base, pull: library/**, to: [ana, "cert:node-7", anonymous] }';
  const { hubgate } = await withMirror(t, { policy, limits, images: { 'library/alpine': imageOf() } });
  const token = await hubgate.token('ana', 'library/alpine');
  const certificate = await hubgate.issueCertificate('node-7');
  const byToken = () => hubgate.ask(ALPINE, { token });
  const byCertificate = () => hubgate.send({ path: ALPINE, ...certificate, agent: false });
  const byNetwork = () => hubgate.ask(ALPINE);
  const ways = [byToken, byCertificate, byNetwork];
  for (const ask of ways) assert.equal((await ask()).status, 200);
  await hubgate.stopAuth();
  // An auth that is only started again keeps nobody out.
  for (const ask of ways) assert.equal((await ask()).status, 200);
  await waitFor(async () => (await byToken()).status === 503);
  for (const ask of ways) assert.equal((await ask()).status, 503);
  assert.ok(hubgate.log.some(({ reason }) => String(reason).includes('auth has not answered for')));
  await hubgate.restartAuth();
  await waitFor(async () => (await byToken()).status === 200);
  for (const ask of ways) assert.equal((await ask()).status, 200);
});

const LINUX = { skip: process.platform !== 'linux' && 'a process is found by /proc' };

test('a gateway says within five seconds that auth hangs', LINUX, async () => {
  await using mirror = await RunningMirror.start({ workers: 1 });
  const [auth = assert.fail()] = await mirror.pids('auth');
  // The gateway is told of the change and asks again, so that its question is as young as it can be.
  assert.equal((await mirror.run('user', 'disable', 'admin')).code, 0);
  const [stopped, starved] = [performance.now(), starvedFor()];
  process.kill(auth, 'SIGSTOP');
  await waitFor(() => mirror.output.includes('"auth cannot be asked"'));
  const silence = performance.now() - stopped - (starvedFor() - starved);
  // Two more seconds are for a busy machine. Without a sign of life in between it would take twelve.
  assert.ok(silence < 7_000, `it took ${Math.round(silence)} ms`);
  const { status, body } = await mirror.admin('/readyz');
  assert.equal(status, 503);
  assert.match(body.toString(), /"auth":\{"ready":false/);
  process.kill(auth, 'SIGCONT');
  await waitFor(async () => (await mirror.admin('/readyz')).status === 200);
});
