import { setTimeout as delay } from 'node:timers/promises';
import { type Dispatcher, Pool } from 'undici';
import { socketAddress } from './unix-socket.ts';

/** Requests to another process of ours, or to a core that somebody runs. */
export interface HttpClient extends AsyncDisposable {
  request(request: HttpRequest): Promise<HttpResponse>;
}

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Milliseconds until the headers must be there. */
  readonly deadline: number;
}

export type HttpResponse = Pick<Dispatcher.ResponseData, 'statusCode' | 'headers' | 'body'>;

const CONNECT_TIMEOUT = 2_000;
/** Bytes that stop coming for so long will not come any more. */
const BODY_TIMEOUT = 60_000;
/** One for each response that is being read at a time, fills among them, with room to spare. */
const MAX_CONNECTIONS = 1024;
/** Together longer than the supervisor takes to start a role again that died. */
const RETRY_AFTER = [100, 300, 900];

export function openSocketClient(socket: string): HttpClient {
  return new PooledClient(
    new Pool('http://socket.invalid', { ...OPTIONS, socketPath: socketAddress(socket) }),
  );
}

export function openUrlClient(url: URL): HttpClient {
  return new PooledClient(new Pool(url.origin, OPTIONS));
}

const OPTIONS: Pool.Options = {
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
    for (const pause of RETRY_AFTER) {
      try {
        return await this.#send(request);
      } catch (error) {
        if (!isConnectionLost(error)) throw error;
        await delay(pause);
      }
    }
    return this.#send(request);
  }

  #send({ method, path, headers, body, deadline }: HttpRequest): Promise<HttpResponse> {
    return this.#pool.request({
      method,
      path,
      ...(headers && { headers }),
      ...(body !== undefined && { body }),
      headersTimeout: deadline,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.destroy();
  }
}

function isConnectionLost(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return ['ECONNREFUSED', 'ENOENT', 'ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET'].includes(code ?? '');
}
