import { once } from 'node:events';
import { createServer, type Server } from 'node:net';

/** Below the ports that Linux itself gives to connections, and to servers that ask for any. */
const FIRST = 12_000;
const EACH = 100;
const PROCESSES = 200;

let next = 0;
let claimed: Promise<number> | undefined;

/**
 * A port for a server that must know it before it listens, as one does whose URL is in its configuration.
 * Each test process has ports of its own, which no other one, and no connection, is given before the server
 * listens.
 */
export async function freePort(): Promise<number> {
  claimed ??= claimPorts();
  const first = await claimed;
  for (let tried = 1; tried < EACH; tried++) {
    const port = first + 1 + (next++ % (EACH - 1));
    const server = await listenAt(port);
    if (server === undefined) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
  throw new Error('all ports of this test process are in use');
}

/** Resolves to the first port of a range. This process listens there until it ends, so no other takes it. */
async function claimPorts(): Promise<number> {
  for (let tried = 0; tried < PROCESSES; tried++) {
    const first = FIRST + ((process.pid + tried) % PROCESSES) * EACH;
    const server = await listenAt(first);
    if (server === undefined) continue;
    server.unref();
    return first;
  }
  throw new Error('other processes have all ranges of ports');
}

async function listenAt(port: number): Promise<Server | undefined> {
  const server = createServer().listen(port);
  return once(server, 'listening').then(
    () => server,
    () => undefined,
  );
}
