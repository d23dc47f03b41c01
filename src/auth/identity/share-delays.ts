import { setTimeout as delay } from 'node:timers/promises';
import { CHANNELS, type Notifications } from '../../cluster/notifications.ts';
import type { PostgresQueries } from '../../platform/postgres.ts';
import { SHARED_DELAYS } from '../limits.ts';
import type { JudgedAttempt, LoginDelays } from './login-delays.ts';

export interface ShareDelaysOptions {
  readonly delays: LoginDelays;
  readonly database: PostgresQueries;
  readonly notifications: Notifications;
  /** The name of this node. */
  readonly node: string;
}

/**
 * Counts the guesses that other nodes of the cluster see, and tells them those that this node sees. So a
 * guesser who asks each node in turn is delayed as if there were one. Nothing is stored: what is told while
 * the database is away is lost, and each node goes on to count its own.
 */
export function shareDelays({ delays, database, notifications, node }: ShareDelaysOptions): AsyncDisposable {
  const stopping = new AbortController();
  const { signal } = stopping;
  const untold: string[] = [];
  let telling: Promise<void> | undefined;
  const tell = async () => {
    await delay(SHARED_DELAYS.gatheredFor, undefined, { signal });
    while (untold.length > 0) {
      const part = untold.splice(0, SHARED_DELAYS.perMessage);
      await database.change('SELECT pg_notify($1, $2)', [CHANNELS.logins, [node, ...part].join(' ')]);
    }
  };
  const beginToTell = () => {
    telling ??= tell()
      // Without the database the other nodes learn nothing, and the delays of this node hold.
      .catch(() => {
        untold.length = 0;
      })
      .finally(() => {
        telling = undefined;
        if (untold.length > 0) beginToTell();
      });
  };
  delays.onJudged((attempt) => {
    if (signal.aborted || untold.length >= SHARED_DELAYS.maxUntold) return;
    untold.push(format(attempt));
    beginToTell();
  });
  notifications.on('logins', (message) => {
    const [teller, ...attempts] = message.split(' ');
    if (teller === node) return;
    for (const attempt of attempts) delays.countElsewhere(parse(attempt));
  });
  return {
    [Symbol.asyncDispose]: async () => {
      stopping.abort();
      await telling;
    },
  };
}

/** The pair is a hash in base64, which contains neither of the marks nor a space. */
function format({ pair, isRight }: JudgedAttempt): string {
  return `${isRight ? '!' : '?'}${pair}`;
}

function parse(text: string): JudgedAttempt {
  return { pair: text.slice(1), isRight: text.startsWith('!') };
}
