import { subscribe } from 'node:diagnostics_channel';
import { IncomingMessage } from 'node:http';

interface WatchedRequest {
  readonly signal: AbortSignal;
  /** After this, the end of the connection no longer aborts the signal. */
  readonly detach: () => void;
}

/**
 * Gives requests the property `signal` in a Node that does not have it, which is every Node 24 before 24.16.
 * The signal aborts when the connection ends before the answer has been sent.
 * https://nodejs.org/docs/latest/api/http.html#messagesignal
 */
export function provideRequestSignal(): void {
  if ('signal' in IncomingMessage.prototype) return;
  const watched = new WeakMap<IncomingMessage, WatchedRequest>();
  subscribe('http.server.response.finish', (message) => {
    if (hasRequest(message)) watched.get(message.request)?.detach();
  });
  Object.defineProperty(IncomingMessage.prototype, 'signal', {
    configurable: true,
    get(this: IncomingMessage): AbortSignal {
      const known = watched.get(this) ?? watch(this);
      watched.set(this, known);
      return known.signal;
    },
  });
}

function watch(request: IncomingMessage): WatchedRequest {
  const { socket } = request;
  const controller = new AbortController();
  const abort = () => controller.abort();
  if (socket.destroyed || (request.destroyed && !request.complete)) abort();
  else socket.once('close', abort);
  return { signal: controller.signal, detach: () => socket.off('close', abort) };
}

function hasRequest(message: unknown): message is { readonly request: IncomingMessage } {
  return typeof message === 'object' && message !== null && 'request' in message;
}
