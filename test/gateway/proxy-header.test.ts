import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseProxyHeader } from '../../src/gateway/http/proxy-header.ts';
import { MAX_PROXY_HEADER } from '../../src/gateway/limits.ts';
import { proxyV2 } from './support/proxy-v2.ts';

function v1(line: string): Buffer {
  return Buffer.from(`${line}\r\n`, 'latin1');
}

test('a header of version 1 names the client', () => {
  const cases: readonly [line: string, source: string | undefined][] = [
    ['PROXY TCP4 192.0.2.7 10.0.0.1 50123 443', '192.0.2.7'],
    ['PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535', '255.255.255.255'],
    ['PROXY TCP6 2001:db8::7 2001:db8::1 50123 443', '2001:db8::7'],
    ['PROXY TCP6 ::ffff:192.0.2.7 ::1 0 443', '192.0.2.7'],
    ['PROXY UNKNOWN', undefined],
    ['PROXY UNKNOWN ffff::1 ffff::2 65535 65535 and more', undefined],
  ];
  for (const [line, source] of cases) {
    const { kind, ...rest } = parseProxyHeader(Buffer.concat([v1(line), Buffer.from('\x16\x03\x01')]));
    assert.equal(kind, 'complete', line);
    assert.deepEqual(rest, { length: line.length + 2, ...(source !== undefined && { source }) });
  }
});

test('a header of version 2 names the client, whatever balancers add to the addresses', () => {
  const more = Buffer.from('0300040102030420000501000000', 'hex');
  for (const [header, source] of [
    [proxyV2({ source: '192.0.2.7' }), '192.0.2.7'],
    [proxyV2({ source: '192.0.2.7', more }), '192.0.2.7'],
    [proxyV2({ source: '2001:db8::7', more }), '2001:db8::7'],
    [proxyV2({ source: '::ffff:192.0.2.7' }), '192.0.2.7'],
    [proxyV2({ source: '192.0.2.7', command: 0x20 }), undefined],
    [proxyV2({ family: 0x00, more }), undefined],
    [proxyV2({ family: 0x31, more: Buffer.alloc(216) }), undefined],
    [proxyV2({ command: 0x20 }), undefined],
  ] as const) {
    const { kind, ...rest } = parseProxyHeader(Buffer.concat([header, Buffer.from('\x16\x03\x01')]));
    assert.equal(kind, 'complete', header.toString('hex'));
    assert.deepEqual(rest, { length: header.length, ...(source !== undefined && { source }) });
  }
});

test('what is not exactly a header is none', () => {
  const wrong = [
    ...['GET / HTTP/1.1', 'proxy TCP4 192.0.2.7 10.0.0.1 1 2', 'PROXY  TCP4 192.0.2.7 10.0.0.1 1 2'],
    ...['PROXY TCP4 192.0.2.7 10.0.0.1 1', 'PROXY TCP4 192.0.2.7 10.0.0.1 1 2 ', 'PROXY TCP4 192.0.2.7 1 2'],
    ...[
      'PROXY TCP4 192.0.2.7 10.0.0.1 1 65536',
      'PROXY TCP4 192.0.2.7 10.0.0.1 01 2',
      'PROXY TCP4 192.0.2.7 x 1 2',
    ],
    ...['PROXY TCP4 ::1 ::1 1 2', 'PROXY TCP6 192.0.2.7 10.0.0.1 1 2', 'PROXY TCP6 fe80::1%lo ::1 1 2'],
    ...['PROXY UDP4 192.0.2.7 10.0.0.1 1 2', 'PROXY UNKNOWNX', 'PROXY ', `PROXY UNKNOWN ${'x'.repeat(107)}`],
    'PROXY TCP4 192.0.2.7 10.0.0.1 1 2\nGET / HTTP/1.1',
  ].map(v1);
  wrong.push(
    Buffer.from('\x16\x03\x01\x02\x00', 'latin1'),
    proxyV2({ source: '192.0.2.7', command: 0x11 }),
    proxyV2({ source: '192.0.2.7', command: 0x22 }),
    proxyV2({ source: '192.0.2.7', family: 0x12 }),
    proxyV2({ source: '192.0.2.7', family: 0x21 }),
    proxyV2({ family: 0x11, more: Buffer.alloc(11) }),
    proxyV2({ source: '192.0.2.7', more: Buffer.alloc(MAX_PROXY_HEADER) }),
  );
  for (const header of wrong)
    assert.equal(parseProxyHeader(header).kind, 'invalid', header.subarray(0, 120).toString('latin1'));
});

/** Headers, most of them with a mistake, and what follows them. */
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc
    .tuple(fc.oneof(fc.ipV4(), fc.ipV6(), fc.string()), fc.string())
    .map(([source, rest]) => v1(`PROXY TCP4 ${source} 10.0.0.1 1 2${rest}`)),
  fc
    .record({
      source: fc.oneof(fc.ipV4(), fc.ipV6()),
      command: fc.constantFrom(0x20, 0x21, 0x21, 0x22),
      more: fc.uint8Array({ maxLength: 300 }).map(Buffer.from),
    })
    .map(proxyV2),
);
const edit = fc.record({ at: fc.nat(), byte: fc.integer({ min: 0, max: 255 }) });
const mutated = fc.tuple(bytes, fc.array(edit, { maxLength: 3 })).map(([original, edits]) => {
  const changed = Buffer.from(original);
  for (const { at, byte } of edits) if (changed.length > 0) changed[at % changed.length] = byte;
  return changed;
});

test('10,000 inputs: a header is bounded, and is read the same in whatever pieces it comes', () => {
  const property = fc.property(mutated, fc.nat(), (whole, cut) => {
    const read = parseProxyHeader(whole);
    const part = parseProxyHeader(whole.subarray(0, cut % (whole.length + 1)));
    if (read.kind === 'incomplete') {
      assert.equal(part.kind, 'incomplete');
      assert.ok(whole.length < MAX_PROXY_HEADER);
    } else if (read.kind === 'complete') {
      assert.ok(read.length <= whole.length && read.length <= MAX_PROXY_HEADER);
      const isWhole = cut % (whole.length + 1) >= read.length;
      assert.deepEqual(part, isWhole ? read : { kind: 'incomplete' });
    } else assert.notEqual(part.kind, 'complete');
  });
  fc.assert(property, { numRuns: 10_000 });
});

test('a balancer’s header gives the address that it was made of', () => {
  const address = fc.oneof(fc.ipV4(), fc.ipV6());
  const property = fc.property(address, fc.uint8Array({ maxLength: 64 }), (source, rest) => {
    const family = source.includes(':') ? 'TCP6' : 'TCP4';
    const other = family === 'TCP6' ? '::1' : '10.0.0.1';
    const one = parseProxyHeader(
      Buffer.concat([v1(`PROXY ${family} ${source} ${other} 1 65535`), Buffer.from(rest)]),
    );
    const two = parseProxyHeader(Buffer.concat([proxyV2({ source }), Buffer.from(rest)]));
    assert.ok(one.kind === 'complete' && two.kind === 'complete');
    assert.ok(one.source !== undefined);
    assert.equal(one.source, two.source);
  });
  fc.assert(property, { numRuns: 1_000 });
});
