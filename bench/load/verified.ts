import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { ACCEPT } from '../content.ts';
import type { BenchServer } from '../servers/server.ts';
import type { Target } from './sealed-reader.ts';

export interface Expected {
  readonly path: string;
  readonly digest: string;
  readonly size: number;
}

/**
 * Fetches something once with a client that decrypts, and compares its bytes with their digest.
 *
 * @returns what a measurement has to know of the answer.
 * @throws where it is not what it should be.
 */
export async function fetchVerified(server: BenchServer, { path, digest, size }: Expected): Promise<Target> {
  const authorization = await server.authorization();
  const headers = {
    accept: ACCEPT,
    ...(authorization !== undefined && { authorization }),
  };
  const options = { host: '127.0.0.1', port: server.port, path, headers, agent: false };
  const asked = request({ ...options, rejectUnauthorized: false });
  asked.end();
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  const hash = createHash('sha256');
  let length = 0;
  for await (const chunk of response) {
    hash.update(chunk);
    length += chunk.length;
  }
  const received = `sha256:${hash.digest('hex')}`;
  if (response.statusCode !== 200 || received !== digest || length !== size)
    throw new Error(
      `${server.name}: ${path} is ${response.statusCode}, ${length} bytes of ${size}, ${received} and not ${digest}`,
    );
  const header = headerLength(response);
  return { path, length, header, ...(authorization !== undefined && { authorization }) };
}

/** On the wire; `Connection: close`, which this one request asked for, is as long as `keep-alive` less five bytes. */
function headerLength({ rawHeaders, statusCode, statusMessage }: IncomingMessage): number {
  const kept = rawHeaders.filter(
    (_, index) => rawHeaders[index - (index % 2)]?.toLowerCase() !== 'connection',
  );
  return `HTTP/1.1 ${statusCode} ${statusMessage}\r\n\r\n`.length + kept.join('::').length + 2;
}
