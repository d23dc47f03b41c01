import assert from 'node:assert/strict';
import { test } from 'node:test';
import { imageOf } from '../support/image.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';

const POLICY = 'allow:\n  - { id: base, pull: library/**, to: authenticated }';

test('a client is asked to wait at most a minute, because some wait many times before they show a message', async (t) => {
  const images = { 'library/long': imageOf(), 'library/short': imageOf() };
  const { hub, hubgate } = await withMirror(t, { policy: POLICY, images });
  const waitOf = async (repository: string, seconds: number) => {
    const limited = { kind: 'status', status: 429, headers: { 'retry-after': String(seconds) } } as const;
    hub.plant('registry', /manifests/, limited);
    const { status, headers } = await hubgate.ask(`/v2/library/${repository}/manifests/latest`, {
      user: 'ana',
    });
    hub.heal();
    hubgate.ahead += 600_000;
    assert.equal(status, 429);
    return headers['retry-after'];
  };
  assert.equal(await waitOf('long', 120), undefined);
  assert.equal(await waitOf('short', 30), '30');
});

const LIMITED = `${POLICY}
limits:
  - { id: each, to: authenticated, each: true, pulls: 1/6h }`;

test('a subject over its limit gets the image that a moved tag meant before, and the record says why', async (t) => {
  const before = imageOf();
  const { hub, hubgate } = await withMirror(t, {
    policy: LIMITED,
    users: ['ana', 'bo'],
    images: { 'library/moved': before, 'library/cold': imageOf() },
  });
  const pull = (user: string, repository = 'moved') =>
    hubgate.ask(`/v2/library/${repository}/manifests/latest`, { user });
  assert.equal((await pull('ana')).headers['docker-content-digest'], before.digest);
  const after = imageOf();
  hub.push('library/moved', 'latest', after);
  hubgate.ahead += 120_000;
  const held = await pull('ana');
  assert.deepEqual([held.status, held.headers['docker-content-digest']], [200, before.digest]);
  assert.match(String(held.headers.warning), /^111 /);
  assert.equal((await pull('ana', 'cold')).status, 429);
  // The one who has pulls left gets the new image, and then everybody does.
  assert.equal((await pull('bo')).headers['docker-content-digest'], after.digest);
  assert.equal((await pull('ana')).headers['docker-content-digest'], after.digest);
  await waitFor(async () => (await hubgate.audit()).length === 5);
  assert.deepEqual(
    (await hubgate.audit()).map(({ subject, status, held, limit }) => [subject, status, held, limit]),
    [
      ['user:ana', 200, undefined, undefined],
      ['user:ana', 200, 'limit:each', undefined],
      ['user:ana', 429, undefined, 'each'],
      ['user:bo', 200, undefined, undefined],
      ['user:ana', 200, undefined, undefined],
    ],
  );
});
