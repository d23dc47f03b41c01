import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeHub } from '../../support/fake-hub.ts';
import { imageOf } from '../../support/image.ts';
import { ACCOUNT, SHORT_LIMITS, TestCore } from '../../support/test-core.ts';

/** The number of connections to one origin. */
const CONNECTIONS = 64;
const WAITING = 2;

test('invariant 16: who would wait behind too many for an upstream is refused at once, and the host is not blamed', async () => {
  await using hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  hub.push('library/alpine', 'latest', imageOf());
  await using core = await TestCore.start(hub, { limits: { ...SHORT_LIMITS, waiting: WAITING } });
  const first = await core.ask('library/alpine/manifests/latest');
  assert.equal(first.status, 200);
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  hub.plant('registry', /slow/, { kind: 'after', action: () => gate });
  const answers = Array.from({ length: CONNECTIONS + WAITING + 3 }, (_, index) =>
    core.ask(`library/alpine/manifests/slow-${index}`),
  );
  const { status, headers } = await Promise.race(answers);
  assert.equal(status, 503);
  assert.equal(headers['retry-after'], '1');
  open();
  const statuses = (await Promise.all(answers)).map((one) => one.status);
  assert.equal(statuses.filter((one) => one === 404).length, CONNECTIONS + WAITING);
  assert.equal((await core.ask('library/alpine/tags/list')).status, 200);
});
