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
 * Counts the guesses that other nodes of the cluster see, and sends them those that this node sees. So a
 * guesser who asks each node in turn is delayed as if there were one. Nothing is stored: what is sent while
 * the database is away is lost, and each node goes on to count its own.
 */
export function shareDelays({ delays, database, notifications, node }: ShareDelaysOptions): AsyncDisposable {
  const stopping = new AbortController();
  const { signal } = stopping;
  const unsent: string[] = [];
  let sending: Promise<void> | undefined;
  const send = async () => {
    await delay(SHARED_DELAYS.gatheredFor, undefined, { signal });
    while (unsent.length > 0) {
      const part = unsent.splice(0, SHARED_DELAYS.perMessage);
      await database.change('SELECT pg_notify($1, $2)', [CHANNELS.logins, [node, ...part].join(' ')]);
    }
  };
  const beginToSend = () => {
    sending ??= send()
      // Without the database the other nodes learn nothing, and the delays of this node hold.
      .catch(() => {
        unsent.length = 0;
      })
      .finally(() => {
        sending = undefined;
        if (unsent.length > 0) beginToSend();
      });
  };
  delays.onJudged((attempt) => {
    if (signal.aborted || unsent.length >= SHARED_DELAYS.maxUnsent) return;
    unsent.push(format(attempt));
    beginToSend();
  });
  notifications.on('logins', (message) => {
    const [sender, ...attempts] = message.split(' ');
    if (sender === node) return;
    for (const attempt of attempts) delays.countElsewhere(parse(attempt));
  });
  return {
    [Symbol.asyncDispose]: async () => {
      stopping.abort();
      await sending;
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
