import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { isOwnHost } from '../../src/gateway/http/own-host.ts';
import { ask } from '../support/http.ts';
import { withMirror } from '../support/with-mirror.ts';

const { hubgate } = await withMirror(
  { after },
  {
    policy: 'allow: [{ pull: library/**, to: authenticated }]',
    configuration: { server: { names: ['mirror.corp.example'] } },
  },
);

test('the admin listener answers a request for another host with nothing', async () => {
  const asked = (path: string, host: string) =>
    ask({ host: '127.0.0.1', port: hubgate.adminPort, path, headers: { host } });
  for (const path of ['/metrics', '/readyz', '/healthz']) {
    const { status, body } = await asked(path, `evil.example:${hubgate.adminPort}`);
    assert.equal(status, 421);
    assert.match(body.toString(), /^this listener answers only for/);
    for (const host of [`127.0.0.1:${hubgate.adminPort}`, 'localhost', '[::1]:9090', 'mirror.corp.example'])
      assert.equal((await asked(path, host)).status, 200, host);
  }
});

test('a host is this machine’s by an address, a configured name, or a name that nobody can register', () => {
  const names = new Set(['mirror.corp.example']);
  const own = [
    // Kubernetes asks pods by their addresses, Prometheus by what its targets say: of compose, a service's
    // name.
    ...[
      '10.1.2.3:9090',
      '[fe80::1]:9090',
      '::1',
      'localhost:9090',
      'hubgate:9090',
      'mirror.corp.example',
      'MIRROR.corp.example.',
    ],
    ...[
      'hubgate.mirrors.svc:9090',
      'hubgate-0.hubgate.mirrors.svc.cluster.local:9090',
      'node-7.internal',
      undefined,
    ],
  ];
  for (const host of own) assert.equal(isOwnHost(host, names), true, String(host));
  const others = [
    ...[
      'evil.example',
      'evil.example:9090',
      'mirror.corp.example.evil.example',
      '127.0.0.1.evil.example',
      'localhost.evil.example',
    ],
    ...[
      '',
      ':9090',
      'a.svc.example',
      '127.0.0.1.nip.io',
      'user@evil.example',
      '[::1].evil.example',
      'x.local.evil.example',
    ],
  ];
  for (const host of others) assert.equal(isOwnHost(host, names), false, host);
});
