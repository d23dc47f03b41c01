import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { type Dispatcher, Pool } from './undici.ts';
import { socketAddress } from './unix-socket.ts';

/** Thrown where the other side cannot be asked, or does not answer in time. */
export class PeerUnreachable extends Error {
  override readonly name = 'PeerUnreachable';
}

/** Requests to another process of ours, or to a core that somebody runs. */
export interface HttpClient extends AsyncDisposable {
  /** @throws PeerUnreachable */
  request(request: HttpRequest): Promise<HttpResponse>;
}

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** A stream is made anew for each try. */
  readonly body?: string | (() => Readable);
  /** Milliseconds until the headers must be there. */
  readonly deadline: number;
  /** Milliseconds between two tries where there is nobody yet, at most: for one who alone waits for a start. */
  readonly pause?: number;
}

export type HttpResponse = Pick<Dispatcher.ResponseData, 'statusCode' | 'headers' | 'body'>;

const CONNECT_TIMEOUT = 2_000;
/** Bytes that stop coming for so long will not come any more. */
const BODY_TIMEOUT = 60_000;
/** One for each response that is being read at a time, fills among them, with room to spare. */
const MAX_CONNECTIONS = 1024;
/** Longer than the supervisor takes to start a role again that died, on a machine that is busy too. */
const PATIENCE = 5_000;
const FIRST_PAUSE = 50;
const LONGEST_PAUSE = 400;

export function openSocketClient(socket: string): HttpClient {
  return new PooledClient(
    new Pool('http://socket.invalid', { ...OPTIONS, socketPath: socketAddress(socket) }),
  );
}

export function openUrlClient(url: URL): HttpClient {
  return new PooledClient(new Pool(url.origin, OPTIONS));
}

const OPTIONS: ConstructorParameters<typeof Pool>[1] = {
  connections: MAX_CONNECTIONS,
  connect: { timeout: CONNECT_TIMEOUT },
  bodyTimeout: BODY_TIMEOUT,
};

class PooledClient implements HttpClient {
  readonly #pool: Pool;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  /** Tries again where the connection failed before there was an answer: the other side may just be starting. */
  async request(request: HttpRequest): Promise<HttpResponse> {
    const end = performance.now() + Math.min(PATIENCE, request.deadline);
    const longest = request.pause ?? LONGEST_PAUSE;
    for (let pause = Math.min(FIRST_PAUSE, longest); ; pause = Math.min(pause * 2, longest)) {
      try {
        return await this.#send(request);
      } catch (error) {
        if (performance.now() + pause > end || !isConnectionLost(error)) throw unreachable(error, request);
        await delay(pause);
      }
    }
  }

  #send({ method, path, headers, body, deadline }: HttpRequest): Promise<HttpResponse> {
    return this.#pool.request({
      method,
      path,
      ...(headers && { headers }),
      ...(body !== undefined && { body: typeof body === 'string' ? body : body() }),
      headersTimeout: deadline,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.destroy();
  }
}

function unreachable(error: unknown, { method, path }: HttpRequest): PeerUnreachable {
  const { code, message } = error as NodeJS.ErrnoException;
  return new PeerUnreachable(`${method} ${path}: ${code ?? message}`, { cause: error });
}

function isConnectionLost(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return ['ECONNREFUSED', 'ENOENT', 'ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET'].includes(code ?? '');
}
