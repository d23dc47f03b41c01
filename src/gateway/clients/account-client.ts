import { type HttpRequest, openSocketClient } from '../../platform/ipc/http-client.ts';
import type { TextAnswer } from '../../platform/ipc/text-exchange.ts';
import { ACCOUNT_REQUESTS } from '../limits.ts';

/** The gateway's client for the socket of the account page. */
export interface AccountClient extends AsyncDisposable {
  /** @throws PeerUnreachable; and what `FairQueue` throws */
  handOver(request: Omit<HttpRequest, 'deadline'>): Promise<TextAnswer>;
}

export function openAccountClient(socket: string): AccountClient {
  const http = openSocketClient(socket, ACCOUNT_REQUESTS.places);
  return {
    handOver: (request) => http.ask({ ...request, deadline: ACCOUNT_REQUESTS.deadline }),
    [Symbol.asyncDispose]: () => http[Symbol.asyncDispose](),
  };
}
