import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, test } from 'node:test';
import { ask } from '../support/http.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';

const INDEX = 'application/vnd.oci.image.index.v1+json';

const { hubgate } = await withMirror(
  { after },
  {
    policy: 'allow: [{ push: acme/**, to: cid }]',
    users: ['cid'],
    configuration: { hosted: { namespaces: { 'acme/**': { retention: { keepLast: 1 } } } } },
  },
);

test('the audit log says what retention has removed, and why', async () => {
  const digests: string[] = [];
  for (const tag of ['old', 'new']) {
    const send = JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests: [], annotations: { tag } });
    digests.push(`sha256:${createHash('sha256').update(send).digest('hex')}`);
    const headers = { 'content-type': INDEX };
    const target = `/v2/acme/app/manifests/${tag}`;
    assert.equal((await hubgate.ask(target, { method: 'PUT', user: 'cid', send, headers })).status, 201);
    hubgate.ahead += 1_000;
  }
  const { status } = await ask({
    ...{ socketPath: hubgate.paths.coreSocket, method: 'POST', path: '/hosted-repositories/collect' },
    send: JSON.stringify({ dryRun: false }),
  });
  assert.equal(status, 200);
  const removals = async () => (await hubgate.audit()).filter(({ subject }) => subject === 'hubgate');
  await waitFor(async () => (await removals()).length > 0);
  const [line] = await removals();
  assert.deepEqual(
    [line?.action, line?.credential, line?.repository, line?.tag, line?.previous, line?.reason],
    ['delete', 'retention', 'hosted/acme/app', 'old', digests[0], 'it is not one of the newest 1 tags'],
  );
});
