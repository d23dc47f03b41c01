import type { IncomingMessage } from 'node:http';

/** Reads a whole body. Returns undefined if it is longer than `most` bytes; the rest is then not read. */
export async function readBody(body: AsyncIterable<Uint8Array>, most: number): Promise<Buffer | undefined> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > most) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/**
 * Reads the whole body of a request that has just arrived. It does the same as `readBody` by events, which
 * cost a short body much less than an iterator does.
 */
export function readRequestBody(request: IncomingMessage, most: number): Promise<Buffer | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer | undefined>();
  const chunks: Uint8Array[] = [];
  let size = 0;
  request.on('data', (chunk: Uint8Array) => {
    size += chunk.length;
    chunks.push(chunk);
    if (size <= most) return;
    resolve(undefined);
    request.destroy();
  });
  request.on('end', () => resolve(Buffer.concat(chunks)));
  request.on('error', reject);
  request.on('close', () => {
    if (!request.readableEnded) reject(new Error('the request broke off'));
  });
  return promise;
}
