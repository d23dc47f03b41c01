import type { Config } from '../config/config.ts';

/** The first file descriptor that a service manager passes: sd_listen_fds(3). */
const FIRST = 3;

/**
 * Returns the listening sockets that a service manager opened for this process, by sd_listen_fds(3). The
 * first is for the public listener, the second for the admin listener, and the third for the plain listener.
 * With them a gateway can run that has no other network.
 */
export function inheritedSockets({ LISTEN_PID, LISTEN_FDS }: NodeJS.ProcessEnv): readonly number[] {
  if (LISTEN_PID !== String(process.pid)) return [];
  const count = Number(LISTEN_FDS);
  if (count >= 1 && count <= 3) return Array.from({ length: count }, (_, index) => FIRST + index);
  throw new Error(
    `LISTEN_FDS is ${LISTEN_FDS}; give the sockets of server.listen, server.admin and server.plain in this order; the last two may be missing`,
  );
}

/**
 * Returns the stdio of a worker. The channel to the supervisor is between the standard streams and the
 * sockets.
 */
export function stdioWith(sockets: readonly number[]): ('inherit' | 'ipc' | number)[] {
  return ['inherit', 'inherit', 'inherit', 'ipc', ...sockets];
}

/** Returns the configuration for workers that got `sockets` by `stdioWith`. */
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
