import { type Deadline, DeadlineError } from '../../platform/scheduling/deadline.ts';
import { FairQueue, QueueFullError } from '../../platform/scheduling/fair-queue.ts';
import type { UpstreamHost } from '../../registry/repository.ts';
import { CONNECTIONS, type CoreLimits } from '../limits.ts';
import type { Requester } from './requester.ts';
import { troubleOf } from './transport-failure.ts';
import { type UpstreamResult, unavailable } from './upstream-result.ts';

/** The queues of requests to upstreams. In each the subjects share the connections to one upstream. */
export class SubjectQueues {
  readonly #limits: Pick<CoreLimits, 'question' | 'waiting'>;
  readonly #queues = new Map<UpstreamHost, FairQueue>();
  #questions = 0;

  constructor(limits: Pick<CoreLimits, 'question' | 'waiting'>) {
    this.#limits = limits;
  }

  /** Waits for the turn of the requester's subject. Waiting counts toward the deadline. */
  async run<T>(
    host: UpstreamHost,
    requester: Requester | undefined,
    deadline: Deadline,
    ask: () => Promise<UpstreamResult<T>>,
  ): Promise<UpstreamResult<T>> {
    // A question that no subject asks shares nothing with other such questions.
    const subject = requester?.spender.subjectKey || `question ${this.#questions++}`;
    try {
      const options = { deadline: this.#limits.question, signal: deadline.signal };
      return await this.#queueOf(host).run(subject, options, ask);
    } catch (error) {
      if (error instanceof QueueFullError)
        return unavailable('busy', `${host}: too many requests wait for a connection`);
      if (error instanceof DeadlineError) return troubleOf(error, host);
      throw error;
    }
  }

  #queueOf(host: UpstreamHost): FairQueue {
    const known = this.#queues.get(host);
    if (known !== undefined) return known;
    const { waiting } = this.#limits;
    const queue = new FairQueue({
      concurrent: CONNECTIONS.most,
      concurrentEach: CONNECTIONS.each,
      waiting,
      waitingEach: Math.ceil(waiting * CONNECTIONS.waitingEach),
    });
    this.#queues.set(host, queue);
    return queue;
  }

  /** The number of requests that wait for their turn. */
  get waiting(): number {
    return [...this.#queues.values()].reduce((sum, { waiting }) => sum + waiting, 0);
  }
}
