import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { Server } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** An HTTP server, with TLS or without. */
export interface HttpServer extends Server {
  closeAllConnections(): void;
}

/**
 * Makes `server` end gracefully. It accepts no new connections, lets requests that are under way end for at
 * most `deadline` milliseconds, and then closes all remaining connections, most of which are idle.
 */
export function drained(server: HttpServer, deadline: number): AsyncDisposable {
  const requests = new Requests();
  server.on('request', (_, response: ServerResponse) => requests.count(response));
  return {
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close');
      server.close();
      const late = new AbortController();
      await Promise.race([
        requests.none(),
        delay(deadline, undefined, { signal: late.signal }).catch(() => {}),
      ]);
      late.abort();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** Counts the requests under way, and reports when there are none. */
class Requests {
  #underWay = 0;
  #ended = Promise.withResolvers<void>();

  count(response: ServerResponse): void {
    this.#underWay++;
    // Node emits 'close' once for each response, and `once` would cost more.
    response.on('close', () => {
      if (--this.#underWay > 0) return;
      this.#ended.resolve();
      this.#ended = Promise.withResolvers();
    });
  }

  async none(): Promise<void> {
    if (this.#underWay > 0) await this.#ended.promise;
  }
}
