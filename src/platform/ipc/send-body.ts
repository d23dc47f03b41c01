import type { ClientRequest } from 'node:http';
import type { Readable } from 'node:stream';
import { releaseBuffer } from '../release-buffer.ts';
import { type ReceivedChunks, receiveChunks } from './receive-chunks.ts';

/**
 * The bytes of one write. TLS yields chunks of at most 16 KiB, and each chunk would become four writes here,
 * and an event of its own on the other side. A whole piece fits into the buffer of a unix socket.
 */
const PIECE = 128 * 1024;

/**
 * The bytes of a piece before and after its content: the line with its length in eight hexadecimal digits,
 * and the end of the chunk (RFC 9112 §7.1).
 */
const HEAD = 10;
const TAIL = 2;

/** The pieces of one body that are in memory: one is filled while the other is sent. */
const PIECES = 2;

/**
 * The milliseconds after which the received bytes are sent, because a slow client may send no more for a
 * while.
 */
const LINGER = 10;

/**
 * Sends a body as the body of a request, at the pace of the other side, in few large pieces. Ends the request
 * after the last one. A body that breaks off leaves the request without an end.
 */
export function sendBody(body: Readable, sent: ClientRequest): Disposable {
  return new BodySender(body, sent);
}

class BodySender implements Disposable {
  readonly #body: Readable;
  readonly #sent: ClientRequest;
  readonly #linger: NodeJS.Timeout;
  readonly #chunks: ReceivedChunks;
  /** The memory that holds no bytes now, and the number of pieces that are being sent. */
  readonly #free: Buffer[] = [];
  #sending = 0;
  /** The pieces that the request itself is sending. */
  #requested = 0;
  /** True when the headers of the request have been sent. */
  #isBegun = false;
  /** The buffer that is being filled, and the number of bytes in it. */
  #piece: Buffer | undefined;
  #length = 0;
  #isOver = false;

  constructor(body: Readable, sent: ClientRequest) {
    this.#body = body;
    this.#sent = sent;
    this.#linger = setTimeout(this.#flush, LINGER);
    body.once('end', this.#end);
    this.#chunks = receiveChunks(body, this.#add);
  }

  readonly #add = (chunk: Buffer): boolean => {
    for (let at = 0; at < chunk.length; ) {
      this.#piece ??= this.#free.pop() ?? Buffer.allocUnsafeSlow(HEAD + PIECE + TAIL);
      if (this.#length === 0) this.#linger.refresh();
      const copied = chunk.copy(this.#piece, HEAD + this.#length, at, at + PIECE - this.#length);
      at += copied;
      this.#length += copied;
      if (this.#length === PIECE) this.#flush();
    }
    releaseBuffer(chunk);
    return this.#sending < PIECES;
  };

  readonly #flush = (): void => {
    const piece = this.#piece;
    if (piece === undefined) return;
    const length = this.#length;
    this.#piece = undefined;
    this.#length = 0;
    this.#sending++;
    this.#write(piece, length, () => {
      this.#sending--;
      this.#free.push(piece);
      if (!this.#isOver) this.#chunks.resume();
    });
  };

  /**
   * Writes a piece to the connection itself when everything before it is there. The request would make four
   * writes of each piece.
   */
  #write(piece: Buffer, length: number, written: () => void): void {
    const content = piece.subarray(HEAD, HEAD + length);
    const { socket, chunkedEncoding } = this.#sent;
    if (!this.#isBegun || this.#requested > 0 || socket === null) {
      this.#requested++;
      this.#sent.write(content, () => {
        this.#requested--;
        this.#isBegun = true;
        written();
      });
      return;
    }
    if (!chunkedEncoding) return void socket.write(content, written);
    piece.write(`${length.toString(16).padStart(8, '0')}\r\n`, 0, 'latin1');
    piece.write('\r\n', HEAD + length, 'latin1');
    socket.write(piece.subarray(0, HEAD + length + TAIL), written);
  }

  readonly #end = (): void => {
    this.#flush();
    clearTimeout(this.#linger);
    this.#sent.end();
  };

  [Symbol.dispose](): void {
    this.#isOver = true;
    clearTimeout(this.#linger);
    this.#body.off('end', this.#end);
    this.#chunks[Symbol.dispose]();
  }
}
