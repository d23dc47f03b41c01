import { once } from 'node:events';
import { type Server, Socket } from 'node:net';

export interface ListenOn {
  /** Absent: every address of the machine. */
  readonly host?: string;
  readonly port: number;
  /** A listening socket that this process was given, in the place of both. */
  readonly fd?: number;
}

/** Resolves when `server` listens. */
export async function listenOn(server: Server, { host, port, fd }: ListenOn): Promise<void> {
  // Each worker accepts from it by itself. By `{ fd }` node:cluster would ask the supervisor for it, which closes it when its
  // last worker ends.
  if (fd !== undefined) server.listen(new Socket({ fd, readable: false, writable: false }));
  else server.listen({ port, ...(host !== undefined && { host }) });
  await once(server, 'listening');
}
