import assert from 'node:assert/strict';
import { readFile, rename } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { FakeHub } from '../support/fake-hub.ts';
import { imageOf } from '../support/image.ts';
import { ACCOUNT } from '../support/test-core.ts';
import { TestHubgate } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';

test('the record is opened anew when it was renamed, and no line is lost', async () => {
  await using hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  hub.push('library/alpine', 'latest', imageOf());
  await using hubgate = await TestHubgate.start(hub, { policy: 'allow: [{ pull: everything, to: ana }]' });
  const file = path.join(hubgate.home, 'audit.log');
  const lines = async (name: string) => {
    const text = await readFile(name, 'utf8').catch(() => '');
    return text.split('\n').length - 1;
  };
  const pull = () => hubgate.ask('/v2/library/alpine/manifests/latest', { user: 'ana' });
  await pull();
  await waitFor(async () => (await lines(file)) === 1);
  await rename(file, `${file}.1`);
  await pull();
  await waitFor(async () => (await lines(`${file}.1`)) === 2);
  await hubgate.reloadGateway();
  await pull();
  await waitFor(async () => (await lines(file)) === 1);
  assert.equal(await lines(`${file}.1`), 2);
});
