import { once } from 'node:events';
import { connect } from 'node:net';
import { hostname } from 'node:os';
import { DatabaseUnavailable } from '../platform/database-unavailable.ts';

const PORT = 5432;

/**
 * Returns the address of this machine in the network of the database. The other nodes reach it there too.
 * @throws DatabaseUnavailable
 */
export async function localAddress(database: string, deadline: number): Promise<string> {
  const { hostname: host, port } = new URL(database);
  // Without a host the database is reached over a unix socket.
  if (host === '') return hostname();
  const socket = connect({ host: host.replace(/^\[|\]$/g, ''), port: Number(port) || PORT });
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(deadline) });
    return socket.localAddress ?? hostname();
  } catch (error) {
    throw new DatabaseUnavailable(error);
  } finally {
    socket.destroy();
  }
}
