import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { freePort } from '../support/free-port.ts';
import { ask } from '../support/http.ts';
import { RunningMirror } from '../support/running-mirror.ts';

test('a mirror whose address is one of IPv6 is named by it everywhere', async () => {
  const port = await freePort();
  const environment = {
    HUBGATE_SERVER_URL: `https://[::1]:${port}`,
    HUBGATE_SERVER_LISTEN: `[::1]:${port}`,
    HUBGATE_SERVER_PLAIN: '[::1]:0',
  };
  await using mirror = await RunningMirror.start({ environment });
  const ca = await readFile(path.join(mirror.home, 'certs/ca.crt'), 'utf8');
  const get = (target: string) => ask({ tls: true, ca, host: '::1', port, path: target, agent: false });
  const { status, headers } = await get('/v2/');
  assert.equal(status, 401);
  assert.equal(
    headers['www-authenticate'],
    `Bearer realm="https://[::1]:${port}/token",service="[::1]:${port}"`,
  );
  // The upstream does not answer, and whoever is not admitted does not learn that.
  for (const name of ['library/alpine', `[::1]:${port}/library/alpine`])
    assert.notEqual((await get(`/v2/${name}/manifests/latest`)).status, 200);
  assert.match(mirror.output, new RegExp(`docker pull \\[::1\\]:${port}/library/alpine`));
  const ready = await mirror.admin('/readyz');
  assert.equal(JSON.parse(ready.body.toString()).listener.ready, true, ready.body.toString());
  const found = await mirror.run('doctor');
  assert.doesNotMatch(found.output, /server\.(?:listen|names|url)|certificate/);
  for (const client of ['dockerd', 'containerd', 'podman']) {
    const kit = await mirror.run(
      'client-config',
      client,
      '--for',
      `node-${client}`,
      '--out',
      path.join(mirror.home, client),
    );
    assert.equal(kit.code, 0, kit.output);
    assert.match(kit.output, new RegExp(`\\[::1\\]:${port}`));
    assert.doesNotMatch(kit.output, new RegExp(`[^[]::1:${port}`));
  }
});
