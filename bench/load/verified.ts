import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
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
 * @returns what a measurement must know about the answer
 * @throws if the answer is not the expected one
 */
export async function fetchVerified(server: BenchServer, { path, digest, size }: Expected): Promise<Target> {
  const authorization = await server.authorization();
  const headers = {
    accept: ACCEPT,
    ...(authorization !== undefined && { authorization }),
  };
  // An answer on a connection that stays open has other headers than the last one.
  const agent = new Agent({ keepAlive: true });
  const options = { host: '127.0.0.1', port: server.port, path, headers, agent };
  const asked = request({ ...options, rejectUnauthorized: false });
  asked.end();
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  const hash = createHash('sha256');
  let length = 0;
  for await (const chunk of response) {
    hash.update(chunk);
    length += chunk.length;
  }
  agent.destroy();
  const received = `sha256:${hash.digest('hex')}`;
  if (response.statusCode !== 200 || received !== digest || length !== size)
    throw new Error(
      `${server.name}: ${path} is ${response.statusCode}, ${length} bytes of ${size}, ${received} and not ${digest}`,
    );
  const header = headerLength(response);
  return { path, length, header, ...(authorization !== undefined && { authorization }) };
}

/** Returns the length of the header on the wire. */
function headerLength({ rawHeaders, statusCode, statusMessage }: IncomingMessage): number {
  // After a name there are as many bytes as after a value: a colon and a space, or the end of the line.
  return `HTTP/1.1 ${statusCode} ${statusMessage}\r\n\r\n`.length + rawHeaders.join('::').length + 2;
}
