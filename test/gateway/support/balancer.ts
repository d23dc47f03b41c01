import { once } from 'node:events';
import { type AddressInfo, createConnection, createServer, isIPv6, type Socket } from 'node:net';

export interface BalancerOptions {
  /** What is written before a client's first bytes, in one packet with them. */
  readonly header: Buffer | string;
  /** True if each byte of the header is sent separately. */
  readonly inPieces?: boolean;
  /** The port of the mirror. */
  readonly port: number;
  /** The balancer's own address. */
  readonly address?: string;
}

export interface Balancer extends AsyncDisposable {
  readonly port: number;
}

/** Starts a balancer that passes TCP connections on, with a PROXY header before them. */
export async function startBalancer(options: BalancerOptions): Promise<Balancer> {
  const open = new Set<Socket>();
  const server = createServer((client) => {
    open.add(client);
    client.on('error', () => {});
    client.once('data', (first: Buffer) => void pass(client, first, options));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.close();
      for (const client of open) client.destroy();
      await once(server, 'close');
    },
  };
}

async function pass(client: Socket, first: Buffer, options: BalancerOptions): Promise<void> {
  const { port, address = '127.0.0.1', inPieces = false } = options;
  client.pause();
  const header = Buffer.from(options.header);
  const host = isIPv6(address) ? '::1' : '127.0.0.1';
  const mirror = createConnection({ host, port, localAddress: address, noDelay: true });
  mirror.on('error', () => client.destroy());
  mirror.on('close', () => client.destroy());
  client.on('close', () => mirror.destroy());
  if (inPieces) for (const byte of header) await written(mirror, Buffer.from([byte]));
  mirror.write(inPieces ? first : Buffer.concat([header, first]));
  mirror.pipe(client);
  client.pipe(mirror);
}

function written(socket: Socket, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => socket.write(bytes, () => resolve()));
}
