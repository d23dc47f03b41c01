import assert from 'node:assert/strict';

/**
 * Compares two buffers. `deepEqual` would describe their difference, which takes the square of their length:
 * 300 KB stop the machine.
 */
export function assertBytes(
  actual: unknown,
  expected: Buffer | undefined,
  message = 'the bytes are others',
): void {
  assert.ok(Buffer.isBuffer(actual), `${message}: not bytes but ${actual}`);
  assert.ok(expected !== undefined && actual.equals(expected), message);
}
