import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { addressKey, createAddressOf, parseClientAddress } from '../../src/gateway/http/client-address.ts';
import { networkOf } from '../../src/platform/network.ts';

const PROXY = '10.0.0.1';
const addressOf = createAddressOf({ trustedProxies: networkOf(['10.0.0.0/24', '2001:db8:aa::/48']) });

function from(remoteAddress: string, forwarded?: string): string {
  const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded };
  return addressOf({ socket: { remoteAddress } as Socket, headers });
}

test('behind a trusted proxy a client has the right-most address that is not a trusted proxy', () => {
  const cases: readonly [forwarded: string | undefined, address: string][] = [
    ['192.0.2.7', '192.0.2.7'],
    ['203.0.113.9, 192.0.2.7', '192.0.2.7'],
    ['203.0.113.9,192.0.2.7,10.0.0.2', '192.0.2.7'],
    ['203.0.113.9 ,\t192.0.2.7 , 10.0.0.2 ,10.0.0.3', '192.0.2.7'],
    // Of clients inside, the one where the request began.
    ['10.0.0.9, 10.0.0.2', '10.0.0.9'],
    // Of IPv6, in every spelling, and with what some balancers write around it.
    ['2001:DB8::0:7', '2001:db8::7'],
    ['192.0.2.7, 2001:db8:aa::1', '192.0.2.7'],
    ['[2001:db8::7]:50123', '2001:db8::7'],
    ['[2001:db8::7]', '2001:db8::7'],
    ['192.0.2.7:50123', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['192.0.2.7, ::ffff:10.0.0.2', '192.0.2.7'],
    ['::ffff:c000:207', '192.0.2.7'],
    // Where a proxy does not say who its client is, the client is that proxy.
    [undefined, PROXY],
    ['', PROXY],
    ['unknown', PROXY],
    ['192.0.2.7, _hidden', PROXY],
    ['192.0.2.7, unknown, 10.0.0.2', '10.0.0.2'],
    ['192.0.2.7,', PROXY],
    ['010.0.0.1', PROXY],
    ['fe80::1%eth0', PROXY],
    ['192.0.2.7:http', PROXY],
    ['192.0.2.0/24', PROXY],
  ];
  for (const [forwarded, address] of cases) assert.equal(from(PROXY, forwarded), address, String(forwarded));
  assert.equal(from(`::ffff:${PROXY}`, '192.0.2.7'), '192.0.2.7');
  assert.equal(from('2001:db8:aa::5', '192.0.2.7'), '192.0.2.7');
});

test('what a peer that is not a trusted proxy says of its address does not count', () => {
  for (const peer of ['10.0.1.1', '192.0.2.1', '2001:db8:ab::1', '::1'])
    for (const forwarded of ['192.0.2.7', '10.0.0.2', '192.0.2.7, 10.0.0.2', undefined])
      assert.equal(from(peer, forwarded), peer, String(forwarded));
  const direct = createAddressOf({});
  const headers = { 'x-forwarded-for': '192.0.2.7' };
  assert.equal(direct({ socket: { remoteAddress: PROXY } as Socket, headers }), PROXY);
});

test('whatever a client claims at the left, its address is the one that the proxy adds at the right', () => {
  const claim = fc.oneof(fc.string(), fc.ipV4(), fc.ipV6(), fc.constantFrom('10.0.0.2', ',', ' ', 'unknown'));
  const property = fc.property(fc.array(claim, { maxLength: 40 }), (claims) => {
    const header = [...claims, '192.0.2.7', '10.0.0.2'].join(',').replaceAll(/[\r\n]/g, '');
    assert.equal(from(PROXY, header), '192.0.2.7');
  });
  fc.assert(property, { numRuns: 2_000 });
});

test('no more than 32 proxies are walked through', () => {
  const chain = Array.from({ length: 40 }, (_, index) => `10.0.0.${index + 1}`);
  assert.equal(from(PROXY, chain.join(',')), '10.0.0.9');
});

test('an address is an address of IPv4 or of IPv6, and the mapped one is the same', () => {
  assert.equal(parseClientAddress('::ffff:192.0.2.7'), parseClientAddress('192.0.2.7'));
  assert.equal(parseClientAddress('::FFFF:C000:0207'), '192.0.2.7');
  for (const text of [
    '',
    '1',
    '1.2.3',
    '0x7f.1',
    '1.2.3.4.5',
    ':::',
    '[::1]',
    '::1%lo',
    'localhost',
    '1.2.3.4 ',
  ])
    assert.equal(parseClientAddress(text), undefined, text);
  const [one, other] = ['2001:db8:0:1::7', '2001:db8:0:1:ffff::'].map(parseClientAddress);
  assert.ok(one !== undefined && other !== undefined);
  assert.equal(addressKey(one), addressKey(other));
});

test('one module of the gateway alone reads the address of a connection', () => {
  const root = path.join(import.meta.dirname, '../..');
  const readers = globSync('src/gateway/**/*.ts', { cwd: root }).filter((file) =>
    /\b(?:remoteAddress|x-forwarded-for)\b|as ClientAddress/.test(
      readFileSync(path.join(root, file), 'utf8'),
    ),
  );
  assert.deepEqual(readers, ['src/gateway/http/client-address.ts']);
});
