import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { connect } from 'node:tls';
import { ask } from '../support/http.ts';
import { imageOf } from '../support/image.ts';
import type { TestHubgate } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';
import { type Mirror, withMirror } from '../support/with-mirror.ts';

const POLICY = 'allow: [{ pull: library/**, to: authenticated }]';
const TARGET = '/v2/library/alpine/manifests/latest';
const USER = { user: 'ana' };

function start(t: TestContext, configuration = {}): Promise<Mirror> {
  return withMirror(t, { policy: POLICY, configuration, images: { 'library/alpine': imageOf() } });
}

async function readiness(
  hubgate: TestHubgate,
): Promise<[status: number, body: { auth: object; core: object }]> {
  const answer = await ask({ host: '127.0.0.1', port: hubgate.adminPort, path: '/readyz' });
  return [answer.status, JSON.parse(answer.body.toString())];
}

// Less than a pull may take where the core answers: who connects to nobody gives up before that.
const BEFORE_LONG = { timeout: 25_000 };

test(
  'without the core a pull is told to try again, and readiness says which part is down',
  BEFORE_LONG,
  async (t) => {
    const { hubgate } = await start(t);
    await hubgate.ask(TARGET, USER);
    const [ready, said] = await readiness(hubgate);
    assert.equal(ready, 200);
    assert.match(JSON.stringify(said.core), /"answers":\{"hit":0,"revalidated":0,"fill":1,/);
    assert.match(
      JSON.stringify(said.core),
      /"host":"docker\.io","trouble":null,"credential":"accepted","quota":\{"limit":100,"remaining":100,"window":21600/,
    );
    await hubgate.stopCore();
    const answer = await hubgate.ask(TARGET, USER);
    assert.equal(answer.status, 503);
    assert.equal(JSON.parse(answer.body.toString()).errors[0].code, 'UNAVAILABLE');
    const [status, parts] = await readiness(hubgate);
    assert.equal(status, 503);
    assert.equal((parts.auth as { ready: boolean }).ready, true);
  },
);

test('without auth nobody logs in, and those who have a token go on to pull', async (t) => {
  const { hubgate } = await start(t);
  const token = await hubgate.token('ana', 'library/alpine');
  assert.equal((await hubgate.ask(TARGET, { token })).status, 200);
  await hubgate.stopAuth();
  assert.equal((await hubgate.ask(TARGET, { token })).status, 200);
  assert.equal((await hubgate.ask(TARGET, USER)).status, 503);
  assert.equal((await hubgate.ask('/token?scope=repository:library/alpine:pull', USER)).status, 503);
  assert.equal((await readiness(hubgate))[0], 503);
});

test('an audit log that cannot be written holds up no pull, and is complained of once', async (t) => {
  const { hubgate } = await start(t, { log: { audit: '/dev/full' } });
  for (let round = 0; round < 5; round++) assert.equal((await hubgate.ask(TARGET, USER)).status, 200);
  const complaints = () => hubgate.log.filter(({ msg }) => msg === 'the audit log cannot be written');
  await waitFor(() => complaints().length > 0);
  assert.equal((await hubgate.ask(TARGET, USER)).status, 200);
  assert.equal(complaints().length, 1);
});

test('a client that leaves in the middle of its own request is no fault of ours', async (t) => {
  const { hubgate } = await start(t);
  const socket = connect({ host: '127.0.0.1', port: hubgate.port, ca: hubgate.ca, servername: 'localhost' });
  socket.write(
    `POST /token HTTP/1.1\r\nhost: localhost:${hubgate.port}\r\ncontent-length: 100\r\n` +
      'content-type: application/x-www-form-urlencoded\r\n\r\ngrant_type=',
    () => socket.destroy(),
  );
  await new Promise((resolve) => socket.on('close', resolve));
  assert.equal((await hubgate.ask(TARGET, USER)).status, 200);
  await hubgate.stopGateway();
  assert.deepEqual(
    hubgate.log.filter(({ level }) => level >= 50),
    [],
  );
});
