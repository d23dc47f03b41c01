import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeliveryPool } from '../../src/gateway/delivery/delivery-pool.ts';
import { DELIVERY } from '../../src/gateway/limits.ts';

test('more readers read smaller chunks, and those of one gateway change nothing for another', () => {
  const [pool, other] = [new DeliveryPool(), new DeliveryPool()];
  const sizeFor = (readers: number) => {
    for (let entered = 0; entered < readers; entered++) pool.enter();
    const { chunkSize } = pool;
    for (let left = 0; left < readers; left++) pool.leave();
    return chunkSize;
  };
  other.enter();
  assert.equal(sizeFor(DELIVERY.manyReaders), DELIVERY.chunk);
  assert.equal(sizeFor(DELIVERY.manyReaders + 1), DELIVERY.chunkForMany);
  assert.equal(sizeFor(DELIVERY.crowd + 1), DELIVERY.chunkForCrowd);
  for (let entered = 0; entered <= DELIVERY.crowd; entered++) pool.enter();
  assert.equal(other.chunkSize, DELIVERY.chunk);
  assert.ok(other.isForOne);
});

test('a released buffer is used again, in the gateway that released it alone', () => {
  const [pool, other] = [new DeliveryPool(), new DeliveryPool()];
  const buffer = pool.acquire(DELIVERY.chunk);
  pool.release(buffer);
  assert.notEqual(other.acquire(DELIVERY.chunk), buffer);
  assert.equal(pool.acquire(DELIVERY.chunk), buffer);
  assert.notEqual(pool.acquire(DELIVERY.chunk), buffer);
});
