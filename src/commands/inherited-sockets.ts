import type { Config } from '../config/config.ts';

/** The first file descriptor that sd_listen_fds(3) speaks of. */
const FIRST = 3;

/**
 * The listening sockets that a service manager opened for this process, by sd_listen_fds(3): of the public listener, of the
 * admin listener where there is a second, and of the plain listener where there is a third. They make a gateway possible that has no network but them.
 */
export function inheritedSockets({ LISTEN_PID, LISTEN_FDS }: NodeJS.ProcessEnv): readonly number[] {
  if (LISTEN_PID !== String(process.pid)) return [];
  const count = Number(LISTEN_FDS);
  if (count >= 1 && count <= 3) return Array.from({ length: count }, (_, index) => FIRST + index);
  throw new Error(
    `LISTEN_FDS is ${LISTEN_FDS}; give the sockets of server.listen, server.admin and server.plain in this order; the last two may be missing`,
  );
}

/** Of a worker: its channel to the supervisor is between these and the standard ones. */
export function stdioWith(sockets: readonly number[]): ('inherit' | 'ipc' | number)[] {
  return ['inherit', 'inherit', 'inherit', 'ipc', ...sockets];
}

/** The same configuration, for workers that were given `sockets` by `stdioWith`. */
export function listeningOn(config: Config, sockets: readonly number[]): Config {
  const [listen, admin, plain] = sockets.map((_, index) => stdioWith([]).length + index);
  const { server } = config;
  return {
    ...config,
    server: {
      ...server,
      ...(listen !== undefined && { listen: { ...server.listen, fd: listen } }),
      ...(admin !== undefined && { admin: { ...server.admin, fd: admin } }),
      ...(plain !== undefined && { plain: { port: 0, ...server.plain, fd: plain } }),
    },
  };
}
