import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseNetwork } from '../../src/platform/network.ts';
import { addresses, networks } from './arbitrary-policy.ts';
import { isIn } from './oracle.ts';

test('an IPv4 address is in no network of IPv6, and in those of IPv4 however it is spelt', () => {
  const table: [network: string, address: string, expected: boolean][] = [
    ['::/0', '2001:db8::1', true],
    ['::/0', '10.1.2.3', false],
    ['::/0', '::ffff:10.1.2.3', false],
    ['::/0', '::ffff:a01:203', false],
    ['::/64', '10.1.2.3', false],
    ['0.0.0.0/0', '2001:db8::1', false],
    ['10.0.0.0/8', '::ffff:a01:203', true],
    ['10.0.0.0/8', '0:0:0:0:0:FFFF:10.1.2.3', true],
    ['::ffff:10.0.0.0/104', '10.1.2.3', true],
    ['::ffff:10.0.0.0/104', '11.1.2.3', false],
    ['::ffff:a01:203', '10.1.2.3', true],
    ['fe80::/10', 'fe80::1%eth0', true],
  ];
  for (const [network, address, expected] of table)
    assert.equal(parseNetwork([network])?.contains(address), expected, `${address} in ${network}`);
});

test('an address is in a network where the bits that the network fixes are the same', () => {
  fc.assert(
    fc.property(fc.array(networks, { minLength: 1, maxLength: 3 }), addresses, (written, address) => {
      const expected = written.some((network) => isIn(address, network));
      assert.equal(parseNetwork(written)?.contains(address), expected);
    }),
    { numRuns: 20_000 },
  );
});
