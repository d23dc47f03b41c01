import type { Socket } from 'node:net';
import type { Connector } from '../../platform/undici.ts';
import { type AddressKind, kindOfAddress } from './address.ts';

/**
 * The kind of address that each origin was reached at: a redirect came over a connection to that address. What its name
 * resolves to by then may have been changed by whoever sent the redirect.
 */
export class KindsOfOrigins {
  readonly #kinds = new Map<string, { kind: AddressKind; open: number }>();

  /** `other` if connections to addresses of several kinds are open, or the origin was never reached. */
  of(origin: string): AddressKind {
    return this.#kinds.get(origin)?.kind ?? 'other';
  }

  recording(connect: Connector): Connector {
    return (options, callback) =>
      connect(options, (...result) => {
        const [error, socket] = result;
        if (error === null && socket !== null) this.#record(`${options.protocol}//${options.host}`, socket);
        callback(...result);
      });
  }

  #record(origin: string, socket: Socket): void {
    const kind = kindOfAddress(socket.remoteAddress ?? '');
    const known = this.#kinds.get(origin) ?? { kind, open: 0 };
    known.kind = known.open === 0 || known.kind === kind ? kind : 'other';
    known.open++;
    this.#kinds.set(origin, known);
    socket.once('close', () => known.open--);
  }
}
