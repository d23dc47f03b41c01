import type { Socket } from 'node:net';
import type { Connector } from '../../platform/undici.ts';
import { type AddressKind, kindOfAddress } from './address.ts';

/**
 * The kinds of the addresses at which each origin was reached, because a redirect came over a connection to
 * such an address. The sender of the redirect may have changed what the name resolves to by now.
 */
export class OriginKinds {
  readonly #kinds = new Map<string, { kind: AddressKind; open: number }>();

  /**
   * Returns `other` if connections to addresses of several kinds are open, or if the origin was never
   * reached.
   */
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
