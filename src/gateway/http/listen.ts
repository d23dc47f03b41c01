import { once } from 'node:events';
import { type Server, Socket } from 'node:net';

export interface ListenOn {
  /** The address to listen on; absent for every address of the machine. */
  readonly host?: string;
  readonly port: number;
  /** A listening socket that this process was given. It replaces host and port. */
  readonly fd?: number;
  /** True if other processes of this user listen on the same port. */
  readonly reusePort?: boolean;
}

/** Resolves when `server` listens. */
export async function listenOn(
  server: Server,
  { host, port, fd, reusePort = false }: ListenOn,
): Promise<void> {
  if (fd !== undefined) server.listen(new Socket({ fd, readable: false, writable: false }));
  else server.listen({ port, reusePort, ...(host !== undefined && { host }) });
  await once(server, 'listening');
}
