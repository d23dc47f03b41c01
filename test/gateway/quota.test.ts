import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeHub } from '../support/fake-hub.ts';
import { imageOf } from '../support/image.ts';
import { TestHubgate } from '../support/test-hubgate.ts';

const POLICY = 'allow:\n  - { id: base, pull: library/**, to: authenticated }';

test('a client is asked to wait at most a minute, because some wait many times before they show a message', async () => {
  await using hub = await FakeHub.start();
  for (const repository of ['long', 'short']) hub.push(`library/${repository}`, 'latest', imageOf());
  await using hubgate = await TestHubgate.start(hub, { policy: POLICY });
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
