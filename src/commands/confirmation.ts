/** Asks the running mirror whether it refuses a credential that a command has withdrawn. */
import { connect } from 'node:net';
import { type HomePaths, pathsIn } from '../config/home.ts';
import { whoMustRun } from '../launch/explain-error.ts';
import { type ExitCode, printLine, type Terminal } from '../launch/terminal.ts';
import { askPeer, PeerFailed, parseAnswer } from '../platform/ipc/ask-peer.ts';
import { type HttpClient, openSocketClient, PeerUnreachable } from '../platform/ipc/http-client.ts';
import { longPoll } from '../platform/ipc/long-poll-client.ts';
import { socketAddress } from '../platform/ipc/unix-socket.ts';
import { isPermissionDenied } from '../platform/reason.ts';
import { CREDENTIAL, CREDENTIALS, GATEWAYS } from '../protocol/auth-api.ts';

export interface Withdrawal {
  /** The change that was made, as the beginning of a sentence: "ana is disabled". */
  readonly done: string;
  /** The credentials that are refused from now on: "ana’s logins and tokens". */
  readonly refused: string;
  /** True if these credentials, which auth reports as in force, no longer contain the withdrawn one. */
  readonly isWithdrawn: (credentials: InForceNow) => boolean;
}

/** The credentials that auth reports as in force. */
export interface InForceNow {
  /** The owner of each credential, by the credential's id. */
  readonly subjects: ReadonlyMap<string, string>;
  readonly revokedCertificates: ReadonlySet<string>;
}

/** The time-out in milliseconds. A healthy mirror applies a change within one second. */
const PATIENCE = 3_000;
const PEER = 'auth';

type WithdrawalConfirmation = 'confirmed' | 'no mirror' | { readonly missing: string };

/**
 * Prints what was done, and whether the running mirror confirms it. Returns 1 if a mirror runs and does not
 * confirm it.
 */
export async function confirmWithdrawal(
  withdrawal: Withdrawal,
  home: string,
  { stdout, stderr }: Terminal,
): Promise<ExitCode> {
  const { done, refused } = withdrawal;
  const confirmation = await confirm(withdrawal, pathsIn(home));
  if (confirmation === 'confirmed') {
    printLine(stdout, `${done}; the running mirror refuses ${refused} from now on`);
    return 0;
  }
  if (confirmation === 'no mirror') {
    printLine(stdout, `${done}; no mirror runs here, and one that starts refuses ${refused}`);
    return 0;
  }
  const { missing } = confirmation;
  printLine(
    stderr,
    `hubgate: ${done}, but the running mirror has not confirmed that it refuses ${refused}: ${missing}`,
  );
  return 1;
}

async function confirm(withdrawal: Withdrawal, paths: HomePaths): Promise<WithdrawalConfirmation> {
  const { authSocket, coreSocket } = paths;
  try {
    if (await isServed(authSocket)) {
      await using auth = openSocketClient(authSocket);
      return await askAuth(withdrawal, auth);
    }
    return (await isServed(coreSocket)) ? { missing: NO_ANSWER } : 'no mirror';
  } catch (error) {
    if (isPermissionDenied(error)) return { missing: `this user may not ask it; ${whoMustRun(paths.home)}` };
    if (error instanceof PeerUnreachable) return { missing: NO_ANSWER };
    if (error instanceof PeerFailed) return { missing: `${error.message}; see hubgate doctor` };
    throw error;
  }
}

const NO_ANSWER = 'auth does not answer; see hubgate doctor';

/** @throws if this user may not determine whether the role listens */
async function isServed(socket: string): Promise<boolean> {
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  const connection = connect(socketAddress(socket), () => resolve(true));
  connection.on('error', (error: NodeJS.ErrnoException) =>
    // A full backlog means that the owner of the socket hangs.
    isPermissionDenied(error) ? reject(error) : resolve(error.code === 'EAGAIN'),
  );
  return promise.finally(() => connection.destroy());
}

async function askAuth({ isWithdrawn }: Withdrawal, auth: HttpClient): Promise<WithdrawalConfirmation> {
  const end = performance.now() + PATIENCE;
  const left = () => Math.max(0, Math.ceil(end - performance.now()));
  let etag: string | undefined;
  for (;;) {
    const question = { peer: PEER, path: '/credentials', read: parseInForce, longestWait: left() };
    const answer = await longPoll(auth, question, { etag, wait: etag !== undefined });
    if (answer !== undefined && isWithdrawn(answer.value)) break;
    if (left() === 0)
      return { missing: 'auth has not read the change; its log says why, and so does hubgate check' };
    etag = answer?.etag ?? etag;
  }
  return askForGateways(auth, left());
}

function parseInForce(text: string): InForceNow {
  const { inForce, revokedCertificates } = CREDENTIALS.parse(JSON.parse(text));
  const subjects = Object.entries(inForce).map(
    ([id, credential]) => [id, CREDENTIAL.parse(credential).subject] as const,
  );
  return { subjects: new Map(subjects), revokedCertificates: new Set(revokedCertificates) };
}

async function askForGateways(auth: HttpClient, left: number): Promise<WithdrawalConfirmation> {
  const path = `/gateways?wait=${left}`;
  const answer = await askPeer(auth, PEER, { method: 'GET', path, deadline: left + PATIENCE });
  const { current, behind } = parseAnswer(PEER, answer, GATEWAYS);
  if (current > 0 && behind === 0) return 'confirmed';
  const missing =
    behind === 0
      ? 'auth does, but no gateway asks auth'
      : `auth and ${current} of ${current + behind} gateways do, and the rest does not answer`;
  return { missing: `${missing}; see hubgate doctor` };
}
