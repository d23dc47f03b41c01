import { once } from 'node:events';
import { createServer } from 'node:net';
import type { Config } from '../config/config.ts';
import type { ListenAddress } from '../config/values.ts';
import { portOf } from '../platform/port-of.ts';
import { isErrno, messageOf } from '../platform/reason.ts';

/**
 * Returns the configuration with ports that nobody else listens on. Each of several gateways listens on the
 * same port for itself, and then the kernel would let another process of this user listen there too. A port 0
 * becomes one port that all of them use.
 *
 * @throws if a port is in use, or may not be used
 */
export async function withFreePorts(config: Config): Promise<Config> {
  const { server } = config;
  const listen = await freePort(server.listen, 'server.listen');
  const admin = await freePort(server.admin, 'server.admin');
  const plain = server.plain && (await freePort(server.plain, 'server.plain'));
  return { ...config, server: { ...server, listen, admin, ...(plain && { plain }) } };
}

async function freePort(
  address: ListenAddress & { readonly fd?: number },
  key: string,
): Promise<ListenAddress> {
  if (address.fd !== undefined) return address;
  const { host, port } = address;
  const server = createServer().listen({ port, ...(host !== undefined && { host }), exclusive: true });
  try {
    await once(server, 'listening');
  } catch (error) {
    const what = isErrno(error, 'EADDRINUSE') ? 'is in use' : 'cannot be used';
    throw new Error(`port ${port} (${key}) ${what}: ${messageOf(error)}`, { cause: error });
  }
  const found = portOf(server);
  server.close();
  await once(server, 'close');
  return { ...address, port: found };
}
