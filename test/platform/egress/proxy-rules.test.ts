import assert from 'node:assert/strict';
import { test } from 'node:test';
import { proxyFor } from '../../../src/platform/egress/proxy-rules.ts';

const https = { url: 'http://proxy.corp:3128' };
const http = { url: 'http://other.corp:3128' };

test('a host is left out as docker and containerd leave it out', () => {
  const table: [url: string, noProxy: string[], proxied: boolean][] = [
    ['https://registry-1.docker.io', [], true],
    ['https://registry-1.docker.io', ['*'], false],
    ['https://registry-1.docker.io', ['docker.io'], false],
    ['https://docker.io', ['docker.io'], false],
    ['https://notdocker.io', ['docker.io'], true],
    ['https://registry.corp', ['.corp'], false],
    ['https://corp', ['.corp'], true],
    ['https://a.b.corp', ['*.corp'], false],
    ['https://corp.example', ['.corp'], true],
    ['https://Registry.Corp', ['registry.CORP'], false],
    ['https://registry.corp.', ['.corp'], false],
    ['https://registry.corp:5000', ['registry.corp:5000'], false],
    ['https://registry.corp:5001', ['registry.corp:5000'], true],
    ['https://registry.corp', ['registry.corp:443'], false],
    ['http://registry.corp', ['registry.corp:80'], false],
    ['https://10.1.2.3', ['10.0.0.0/8'], false],
    ['https://11.1.2.3', ['10.0.0.0/8'], true],
    ['https://10.1.2.3:5000', ['10.1.2.3'], false],
    ['https://10.1.2.3:5000', ['10.1.2.3:443'], true],
    ['https://[fd00::1]', ['fd00::/8'], false],
    ['https://[fd00::1]', ['fd00::1'], false],
    ['https://[fd00::1]:5000', ['[fd00::1]:5000'], false],
    ['https://[fd00::2]', ['fd00::1'], true],
    [
      'https://registry.corp',
      ['10.0.0.0/8', '10.0.0.0/99', 'x/y', '', ':', ':443', ' registry.corp '],
      false,
    ],
    ['https://registry.corp', ['10.0.0.0/99', '10.0.0.0/', 'x/y', '', ':', ':443', '.'], true],
    ['https://localhost', [], false],
    ['https://127.0.0.1:8443', [], false],
    ['https://127.1.2.3', [], false],
    ['https://[::1]:8443', [], false],
  ];
  for (const [url, noProxy, proxied] of table) {
    const proxy = proxyFor(new URL(url), { https, http, noProxy });
    const wanted = url.startsWith('https:') ? https : http;
    assert.equal(proxy, proxied ? wanted : undefined, `${url} ${noProxy.join(' ')}`);
  }
  assert.equal(proxyFor(new URL('https://docker.io'), { http, noProxy: [] }), undefined);
  assert.equal(proxyFor(new URL('https://docker.io'), undefined), undefined);
});
