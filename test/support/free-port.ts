import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below the ports that Linux itself gives to connections, and to servers that ask for any. */
const FIRST = 12_000;
const EACH = 100;
const PROCESSES = 200;

let next = 0;

/**
 * A port for a server that must know it before it listens, as one does whose URL is in its configuration.
 * Each test process has ports of its own, which no other one, and no connection, is given before the server
 * listens.
 */
export async function freePort(): Promise<number> {
  for (let tried = 0; tried < EACH; tried++) {
    const port = FIRST + (process.pid % PROCESSES) * EACH + (next++ % EACH);
    if (await isFree(port)) return port;
  }
  throw new Error('all ports of this test process are in use');
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port);
  const hasListened = await once(server, 'listening').then(
    () => true,
    () => false,
  );
  if (!hasListened) return false;
  server.close();
  await once(server, 'close');
  return true;
}
