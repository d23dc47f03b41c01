import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kindOfAddress, lookupOnly } from '../../../src/core/upstream/address.ts';
import { judgeRealm, type RealmVerdict, whyNoRedirect } from '../../../src/core/upstream/origin-rules.ts';
import type { UpstreamOptions } from '../../../src/core/upstream/upstream.ts';
import { DOCKER_HUB } from '../../../src/registry/repository.ts';
import { ACCOUNT } from '../../support/test-core.ts';

const url = (text: string) => new URL(text);

function upstreamAt(text: string, options: Partial<UpstreamOptions> = {}): UpstreamOptions {
  return { host: DOCKER_HUB, url: new URL(text), ...options };
}

test('invariant 5: a token service is believed on the upstream’s own registrable domain, over https, and nowhere else', () => {
  const table: [realm: string, upstream: string, allowed: boolean][] = [
    ['https://auth.docker.io/token', 'https://registry-1.docker.io', true],
    ['https://ghcr.io/token', 'https://ghcr.io', true],
    ['https://gitlab.com/jwt/auth', 'https://registry.gitlab.com', true],
    ['https://registry.corp:8443/token', 'https://registry.corp:5000', true],
    ['https://10.0.0.1/token', 'https://10.0.0.1:5000', true],
    ['http://auth.docker.io/token', 'https://registry-1.docker.io', false],
    ['https://docker.io.evil.example/token', 'https://registry-1.docker.io', false],
    ['https://evil.example/token', 'https://registry-1.docker.io', false],
    ['https://user:pw@auth.docker.io/token', 'https://registry-1.docker.io', false],
    ['https://169.254.169.254/token', 'https://registry-1.docker.io', false],
    ['https://evil.github.io/token', 'https://registry.github.io', false],
    ['https://other.co.uk/token', 'https://registry.co.uk', false],
    ['https://10.0.0.2/token', 'https://10.0.0.1', false],
    ['file:///etc/passwd', 'https://registry-1.docker.io', false],
    ['http://127.0.0.1:5001/token', 'http://127.0.0.1:5000', true],
    ['http://localhost:5001/token', 'http://127.0.0.1:5000', true],
    ['http://10.0.0.1:5001/token', 'http://127.0.0.1:5000', false],
    ['https://evil.example/token', 'http://127.0.0.1:5000', false],
  ];
  for (const [realm, upstream, allowed] of table) {
    const verdict = judgeRealm(url(realm), upstreamAt(upstream, { credential: ACCOUNT }));
    assert.equal(verdict === 'own', allowed, `${realm} for ${upstream}`);
    assert.ok(allowed || typeof verdict === 'object', `${realm} for ${upstream}`);
  }
});

test('invariant 5: a token service elsewhere is shown the credential if it is listed, and asked anonymously if there is none', () => {
  const listed = { tokenServices: ['https://login.other.example'] };
  const table: [realm: string, options: Partial<UpstreamOptions>, verdict: RealmVerdict | RegExp][] = [
    ['https://login.other.example/token', { credential: ACCOUNT, ...listed }, 'own'],
    ['https://login.other.example/token', listed, 'own'],
    ['https://login.other.example/token', {}, 'elsewhere'],
    [
      'https://login.other.example/token',
      { credential: ACCOUNT },
      /on login\.other\.example, .*upstreams\.docker\.io\.tokenServices: \["https:\/\/login\.other\.example"\]/,
    ],
    ['https://login.other.example:444/token', { credential: ACCOUNT, ...listed }, /tokenServices/],
    ['https://u:p@login.other.example/token', listed, /with a login in its address/],
    ['http://login.other.example/token', listed, /without TLS; .*upstreams\.docker\.io\.insecure: true/],
    ['http://login.other.example/token', { insecure: true }, 'elsewhere'],
    ['http://registry.corp.example/token', {}, /without TLS/],
    ['http://registry.corp.example/token', { credential: ACCOUNT, insecure: true }, 'own'],
    ['ftp://registry.corp.example/token', { insecure: true }, /not asked by HTTP/],
  ];
  for (const [realm, options, expected] of table) {
    const verdict = judgeRealm(url(realm), upstreamAt('https://registry.corp.example', options));
    const what = `${realm} ${JSON.stringify(options)}`;
    if (expected instanceof RegExp)
      assert.match(JSON.stringify(verdict).replaceAll('\\', ''), expected, what);
    else assert.equal(verdict, expected, what);
  }
});

test('redirects leave https only where the upstream may be without TLS, and carry no user', () => {
  const hub = upstreamAt('https://registry-1.docker.io');
  const insecure = upstreamAt('https://registry.corp.example', { insecure: true });
  assert.equal(whyNoRedirect(url('https://cdn.example/x?sig=1'), hub), undefined);
  assert.match(
    whyNoRedirect(url('http://cdn.example/x'), hub) ?? '',
    /upstreams\.docker\.io\.insecure: true/,
  );
  assert.equal(whyNoRedirect(url('http://cdn.example/x'), insecure), undefined);
  assert.match(whyNoRedirect(url('https://u:p@cdn.example/x'), hub) ?? '', /login/);
  assert.match(whyNoRedirect(url('https://u:p@cdn.example/x'), insecure) ?? '', /login/);
  assert.match(whyNoRedirect(url('ftp://cdn.example/x'), hub) ?? '', /HTTP/);
  assert.match(whyNoRedirect(url('ftp://cdn.example/x'), insecure) ?? '', /HTTP/);
  assert.equal(whyNoRedirect(url('http://127.0.0.1:1/x'), upstreamAt('http://127.0.0.1:2')), undefined);
});

test('addresses are sorted by where they lead, however they are written', () => {
  const table: [address: string, kind: string][] = [
    ['127.0.0.1', 'loopback'],
    ['127.9.9.9', 'loopback'],
    ['::1', 'loopback'],
    ['::ffff:127.0.0.1', 'loopback'],
    ['10.1.2.3', 'private'],
    ['172.16.0.1', 'private'],
    ['192.168.1.1', 'private'],
    ['100.64.0.1', 'private'],
    ['fd00::1', 'private'],
    ['::ffff:10.0.0.1', 'private'],
    ['8.8.8.8', 'public'],
    ['2606:4700::1', 'public'],
    ['169.254.169.254', 'other'],
    ['fe80::1', 'other'],
    ['0.0.0.0', 'other'],
    ['::', 'other'],
    ['224.0.0.1', 'other'],
    ['255.255.255.255', 'other'],
    ['64:ff9b::7f00:1', 'other'],
    ['2002:7f00:1::', 'other'],
    ['192.0.2.1', 'other'],
    ['not an address', 'other'],
  ];
  for (const [address, kind] of table) assert.equal(kindOfAddress(address), kind, address);
});

test('a name is resolved to addresses of the wanted kind only, at the look-up that connects', async () => {
  const resolve = (kind: 'loopback' | 'public', all: boolean) => {
    const { promise, resolve: settle } = Promise.withResolvers<string>();
    lookupOnly([kind])('localhost', { all }, (error, address) =>
      settle(error ? error.message : JSON.stringify(address)),
    );
    return promise;
  };
  assert.equal(await resolve('public', false), 'the host has no public address');
  assert.equal(await resolve('public', true), 'the host has no public address');
  assert.match(await resolve('loopback', false), /^"(?:127\.|::1)/);
});
