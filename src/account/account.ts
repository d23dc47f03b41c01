/**
 * The account page: people log in, and see and change what is theirs. It renders pages and has no secret;
 * sessions and proofs are auth's. It is a process of its own, so that a fault in it costs no pull.
 */
import type { RequestListener, ServerResponse } from 'node:http';
import { type Clock, systemClock } from '../platform/clock.ts';
import { PeerFailed } from '../platform/ipc/ask-peer.ts';
import { PeerUnreachable } from '../platform/ipc/http-client.ts';
import { serveOnSocket } from '../platform/ipc/unix-socket.ts';
import type { Logger } from '../platform/log.ts';
import { FairQueue } from '../platform/scheduling/fair-queue.ts';
import { AUDIT_HEADER } from '../protocol/account-audit.ts';
import { readAccountRequest } from './account-request.ts';
import { readActivity } from './activity.ts';
import { type AccountAnswer, pageAnswer } from './answer.ts';
import { type OpenedAuthClient, openAccountAuthClient, TooLongForAuth } from './auth-client.ts';
import { ACTIVITY, AUTH_DEADLINE } from './limits.ts';
import { messagePage } from './pages/message.ts';
import { answerAccount } from './routes.ts';
import type { SnippetMirror } from './snippets.ts';
import type { AccountDependencies } from './visit.ts';

export interface AccountPageOptions {
  /** The path of the page's unix socket. */
  readonly socket: string;
  readonly authSocket: string;
  /** The mirror as clients see it. */
  readonly mirror: SnippetMirror;
  readonly auditFile: string;
  readonly log: Logger;
  readonly clock?: Clock;
}

export async function startAccount(options: AccountPageOptions): Promise<AsyncDisposable> {
  const { socket, authSocket, mirror, auditFile: file, log, clock = systemClock } = options;
  await using stack = new AsyncDisposableStack();
  const auth = stack.use(openAccountAuthClient(authSocket));
  const { concurrent, waiting } = ACTIVITY;
  const turns = new FairQueue({ concurrent, concurrentEach: 1, waiting, waitingEach: 2 });
  const dependencies: RoleDependencies = {
    ...{ auth, mirror, clock },
    readActivity: (request) =>
      turns.run(request.subject, { deadline: AUTH_DEADLINE }, () => readActivity({ file, ...request })),
  };
  stack.use(await serveOnSocket(socket, answering(dependencies, log)));
  const running = stack.move();
  return { [Symbol.asyncDispose]: () => running.disposeAsync() };
}

type RoleDependencies = Omit<AccountDependencies, 'auth'> & { readonly auth: OpenedAuthClient };

function answering({ auth, ...dependencies }: RoleDependencies, log: Logger): RequestListener {
  const { host } = dependencies.mirror;
  const answer = async (
    incoming: Parameters<RequestListener>[0],
    decisions: string[],
  ): Promise<AccountAnswer> => {
    const request = await readAccountRequest(incoming);
    return request === undefined
      ? tooLong(host)
      : answerAccount(request, { ...dependencies, auth: auth.forRequest(decisions) });
  };
  return (request, response) => {
    const decisions: string[] = [];
    answer(request, decisions)
      .catch((error: unknown) => failure(error, host, log))
      .then((answered) => send(response, answered, decisions))
      .catch((error: unknown) => {
        log.error({ err: error }, 'the account page failed');
        response.destroy();
      });
  };
}

function tooLong(host: string): AccountAnswer {
  return pageAnswer(messagePage({ title: 'Too long', host }, ['This request is too long.']), 413);
}

function failure(error: unknown, host: string, log: Logger): AccountAnswer {
  if (error instanceof TooLongForAuth) return tooLong(host);
  const isPeers = error instanceof PeerUnreachable || error instanceof PeerFailed;
  if (isPeers) log.warn({ reason: error.message }, 'auth does not answer the account page');
  else log.error({ err: error }, 'the account page failed');
  const reason = 'A part of the mirror does not answer. Pulls are not affected. Try again in a minute.';
  return pageAnswer(messagePage({ title: 'Not at the moment', host }, [reason]), isPeers ? 503 : 500);
}

function send(
  response: ServerResponse,
  { status, type, body = '', location, cookies = [] }: AccountAnswer,
  decisions: readonly string[],
): void {
  response.writeHead(status, {
    'content-length': Buffer.byteLength(body),
    ...(type && { 'content-type': type }),
    ...(location && { location }),
    ...(cookies.length > 0 && { 'set-cookie': [...cookies] }),
    // They are recorded even if the page could not be made.
    ...(decisions.length > 0 && { [AUDIT_HEADER]: decisions.join(', ') }),
  });
  response.end(body);
}
