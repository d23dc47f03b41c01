import { type Digest, sha256Of } from '../../src/registry/digest.ts';
import type { TestResponse } from '../support/http.ts';
import type { SoakRepository } from './catalogue.ts';
import type { Findings } from './findings.ts';
import { permits, type SoakPolicy } from './policy.ts';
import type { Principal } from './principals.ts';
import type { Timeline } from './timeline.ts';

const ANYBODY = { kind: 'anonymous', group: 0 } as const;

export interface Answered extends TestResponse {
  /** The monotonic times between which the answer was decided. */
  readonly since: number;
  readonly until: number;
  readonly principal: Principal;
  readonly repository: SoakRepository;
  readonly target: string;
}

/** Judges every answer by what the policy, the accounts and the Hub were while it was made. */
export class Oracle {
  readonly policy: Timeline<SoakPolicy>;
  readonly #findings: Findings;

  constructor(policy: Timeline<SoakPolicy>, findings: Findings) {
    this.policy = policy;
    this.#findings = findings;
  }

  judge(answer: Answered): void {
    const { status } = answer;
    this.#findings.count(`answers ${status}`);
    if (status < 400) this.#judgeGrant(answer);
    else if (status === 401 || status === 403 || status === 404) this.#judgeRefusal(answer);
    else if (status !== 429 && status !== 502 && status !== 503 && status !== 504)
      this.#findings.anomaly('an answer has an unexpected status', inWords(answer));
  }

  /** Judges the digest that a tag was resolved to. An answer that says that it is stale may be old. */
  judgeTag(answer: Answered): void {
    if (answer.status !== 200 || answer.headers.warning !== undefined) return;
    const digest = answer.headers['docker-content-digest'] as Digest;
    if (answer.repository.latest.during(answer.since, answer.until).includes(digest)) return;
    this.#findings.anomaly('a tag is older than tagFreshness without a Warning', inWords(answer));
  }

  judgeBytes(answer: Answered, digest: Digest): void {
    if (answer.status !== 200) return;
    this.#findings.count('MiB of bodies compared', answer.body.length / 2 ** 20);
    if (sha256Of(answer.body) !== digest)
      this.#findings.anomaly('a complete body does not match its digest', inWords(answer));
  }

  #judgeGrant(answer: Answered): void {
    const { principal, repository, since, until } = answer;
    const policies = this.policy.during(since, until);
    // A login that fails is a stranger's, who may pull what everybody may.
    if (policies.some((policy) => permits(policy, ANYBODY, repository))) return;
    const couldBeActive = principal.active.during(since, until).includes(true);
    const couldPermit = policies.some((policy) => permits(policy, principal, repository));
    if (!couldBeActive)
      this.#findings.anomaly(
        'somebody was served whose account had ended',
        `${inWords(answer)} changed ${Math.round(until - principal.active.changedAt)} ms before`,
      );
    else if (!couldPermit)
      this.#findings.anomaly('somebody was served whom the policy refuses', inWords(answer));
  }

  #judgeRefusal(answer: Answered): void {
    const { principal, repository, since, until } = answer;
    const couldBeInactive = principal.active.during(since, until).includes(false);
    const couldRefuse = this.policy
      .during(since, until)
      .some((policy) => !permits(policy, principal, repository));
    if (!couldBeInactive && !couldRefuse)
      this.#findings.anomaly('somebody was refused who must be served', inWords(answer));
  }
}

function inWords({ status, principal, target, since, until, body }: Answered): string {
  const took = Math.round(until - since);
  const words = status < 400 ? '' : body.toString().slice(0, 160);
  return `${principal.subject} ${target} ${status} after ${took} ms ${words}`;
}
