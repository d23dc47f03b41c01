/**
 * This module tells what other nodes have changed, as the database announces it. A notification that is sent
 * while nobody listens is gone, so whoever caches anything must drop it whenever listening begins again.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../platform/log.ts';
import { MutableValue, type ObservableValue } from '../platform/observable-value.ts';
import type { Postgres } from '../platform/postgres.ts';
import { reasonOf } from '../platform/reason.ts';
import type { ClusterLimits } from './limits.ts';

/** The channels of the database, each with the kind of change that it tells. */
export const CHANNELS = {
  auth: 'hubgate_auth',
  withdrawn: 'hubgate_withdrawn',
  documents: 'hubgate_documents',
  downloads: 'hubgate_downloads',
  logins: 'hubgate_logins',
  purged: 'hubgate_purged',
} as const;

export type Channel = keyof typeof CHANNELS;

export interface NotificationsOptions {
  readonly database: Postgres;
  readonly limits: ClusterLimits;
  readonly log: Logger;
}

export class Notifications implements AsyncDisposable {
  readonly #options: NotificationsOptions;
  readonly #isListening = new MutableValue(false);
  readonly #handlers = new Map<string, ((payload: string) => void)[]>();
  readonly #stopping = new AbortController();
  readonly #running: Promise<void>;

  constructor(options: NotificationsOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  /** True while every notification arrives. When it becomes true, earlier knowledge may be outdated. */
  get isListening(): ObservableValue<boolean> {
    return this.#isListening;
  }

  /**
   * Calls `handler` with the payload of each notification, and with '' whenever listening has begun again.
   */
  on(channel: Channel, handler: (payload: string) => void): void {
    const name = CHANNELS[channel];
    this.#handlers.set(name, [...(this.#handlers.get(name) ?? []), handler]);
  }

  /** Resolves when it listens for the first time. What happens from then on is told. */
  async begun(): Promise<void> {
    while (!this.#isListening.current && !this.#stopping.signal.aborted) await this.#isListening.changed();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { limits, log } = this.#options;
    const { signal } = this.#stopping;
    let isReported = false;
    while (!signal.aborted) {
      try {
        await this.#listen(() => {
          if (isReported) log.info('the database of the cluster is back');
          isReported = false;
        });
      } catch (error) {
        if (!signal.aborted && !isReported)
          log.warn({ reason: reasonOf(error) }, 'the database of the cluster does not answer');
        isReported = true;
      }
      if (this.#isListening.current) this.#isListening.set(false);
      await delay(limits.reconnectAfter, undefined, { signal }).catch(() => {});
    }
  }

  /** Listens until the connection is lost, or until it is not wanted any more. */
  async #listen(onListening: () => void): Promise<void> {
    const { database, limits } = this.#options;
    const { signal } = this.#stopping;
    const client = await database.connect();
    try {
      client.on('notification', ({ channel, payload = '' }) => this.#notify(channel, payload));
      await client.query(
        Object.values(CHANNELS)
          .map((channel) => `LISTEN ${channel}`)
          .join('; '),
      );
      for (const channel of Object.values(CHANNELS)) this.#notify(channel, '');
      this.#isListening.set(true);
      onListening();
      while (!signal.aborted) {
        await delay(limits.heartbeat, undefined, { signal }).catch(() => {});
        await client.query('SELECT 1');
      }
    } finally {
      // A frozen server never confirms the end.
      client.end().catch(() => {});
    }
  }

  #notify(channel: string, payload: string): void {
    for (const handler of this.#handlers.get(channel) ?? []) handler(payload);
  }
}
