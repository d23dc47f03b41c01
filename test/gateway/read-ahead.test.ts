import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { test } from 'node:test';
import { setImmediate as immediate } from 'node:timers/promises';
import { type Delivered, deliverBlob } from '../../src/gateway/delivery/deliver-blob.ts';
import { DeliveryPool } from '../../src/gateway/delivery/delivery-pool.ts';
import { sha256Of } from '../../src/registry/digest.ts';
import { serveLocally } from '../support/local-server.ts';

/** More than the buffers of a connection take. */
const SIZE = 256 * 1024 * 1024;

test('a chunk that cannot be read ahead, while the client does not take the one before, fails its own response alone', async (t) => {
  const failed = Promise.withResolvers<void>();
  const delivered = Promise.withResolvers<Delivered>();
  const server = await serveLocally((request, response) => {
    const source = {
      filling: false,
      size: SIZE,
      available: async () => SIZE,
      /** The disk fails as soon as bytes wait for the client. */
      read: async (_buffer: Buffer, _position: number, length: number) => {
        await immediate();
        if (response.writableLength === 0) return length;
        failed.resolve();
        throw new Error('the disk fails');
      },
      [Symbol.asyncDispose]: async () => {},
    };
    const askAgain = () => assert.fail('nothing was interrupted');
    const delivery = deliverBlob(
      { request, response, digest: sha256Of(Buffer.alloc(0)), pool: new DeliveryPool(), askAgain },
      source,
    );
    delivered.resolve(delivery);
    // A delivery that throws ends the wait of its client, and so of the test.
    delivery.catch(() => response.destroy());
  });
  t.after(() => server.stop());
  const sent = request(server.url, { agent: false }).end();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  // A delivery that ends in another way fails the test.
  await Promise.race([failed.promise, delivered.promise]);
  // A rejection that nobody handles is one by now, and fails the test.
  await immediate();
  response.on('error', () => {}).resume();
  assert.match((await delivered.promise).failure?.message ?? '', /the disk fails/);
});
