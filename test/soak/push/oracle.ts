import type { Digest } from '../../../src/registry/digest.ts';
import type { Findings } from '../findings.ts';
import { Register } from './register.ts';
import { FOUND, IN_DOUBT, UNDO } from './times.ts';

/** What a tag means; null if there is none, and `any` if the oracle cannot know it. */
export type TagValue = Digest | null | 'any';

/** A promise that content is there until a moment, unless somebody deletes it. */
export interface Lease {
  /** The request that the promise answered was sent. */
  readonly from: number;
  /** The promise was heard. What was read before says nothing about it. */
  readonly since: number;
  readonly until: number;
}

export interface RepositoryRules {
  readonly name: string;
  readonly tags: readonly string[];
  /** The rules of its namespace. */
  readonly hasQuota: boolean;
  /** True if content without a tag goes. */
  readonly collectsUntagged: boolean;
}

/** Judges what clients see by what was published and deleted, and when. */
export class PushOracle {
  readonly findings: Findings;
  readonly #tags = new Map<string, Register<TagValue>>();
  readonly #content = new Map<string, Register<boolean>>();
  readonly #leases = new Map<string, Lease[]>();
  readonly #deletes = new Map<string, { readonly from: number; until: number }[]>();

  constructor(findings: Findings) {
    this.findings = findings;
  }

  tag(repository: string, tag: string): Register<TagValue> {
    return known(this.#tags, `${repository} ${tag}`, () => new Register<TagValue>(null));
  }

  /**
   * Is a blob or a manifest in the repository? The collection may remove it, which the register does not
   * know.
   */
  content(repository: string, digest: string): Register<boolean> {
    return known(this.#content, `${repository} ${digest}`, () => new Register<boolean>(false));
  }

  /** Records the promise that an answer makes. */
  lease(repository: string, digest: string, { from, until: since }: Asked, length: number): Lease {
    const lease = { from, since, until: from + length };
    const key = `${repository} ${digest}`;
    const recent = this.#leases.get(key)?.filter((one) => one.until > from - IN_DOUBT) ?? [];
    this.#leases.set(key, [...recent, lease]);
    return lease;
  }

  /** Records that somebody asks for the removal of content. The caller says when it is over. */
  beginDelete(repository: string, digest: string): PendingDelete {
    const deletes = known(this.#deletes, `${repository} ${digest}`, () => []);
    const one = { from: performance.now(), until: Number.POSITIVE_INFINITY };
    deletes.push(one);
    return {
      done: () => {
        one.until = performance.now();
      },
      refused: () => void deletes.splice(deletes.indexOf(one), 1),
      lost: () => {
        one.until = performance.now() + IN_DOUBT;
      },
    };
  }

  isDeletedSince(repository: string, digest: string, since: number): boolean {
    return this.#deletes.get(`${repository} ${digest}`)?.some((one) => one.until >= since) ?? false;
  }

  /** True if a promise obliges the registry to have the content during the whole of a request. */
  isHeld(repository: string, digest: string, { from, until }: Asked, lease?: Lease): boolean {
    const leases = lease ? [lease] : (this.#leases.get(`${repository} ${digest}`) ?? []);
    return leases.some(
      (one) => one.since <= from && until < one.until && !this.isDeletedSince(repository, digest, one.from),
    );
  }

  judgeTag(repository: string, tag: string, seen: Digest | null, { from, until }: Asked): void {
    const possible = this.tag(repository, tag).possible(from, until);
    const isRetained = seen === null && isRetainedTag(tag);
    if (possible.has(seen) || possible.has('any') || isRetained) return;
    const expected = [...possible].map(short).join(', ');
    this.findings.anomaly(
      'a tag means what it cannot mean',
      `${repository}:${tag} is ${short(seen)}, not ${expected}, after ${Math.round(until - from)} ms`,
    );
  }

  /** Judges the presence of content that nothing else is known about. */
  judgePresence(repository: string, digest: string, isThere: boolean, { from, until }: Asked): void {
    const possible = this.content(repository, digest).possible(from, until);
    if (isThere && !possible.has(true))
      this.findings.anomaly('content is back, or was never pushed here', `${repository}@${digest}`);
    if (!isThere && this.isHeld(repository, digest, { from, until }))
      this.findings.anomaly('content is gone before its time', `${repository}@${digest}`);
  }

  /** Judges that content is missing of which an image consisted that was there at or after `since`. */
  judgeMissing(repository: string, digest: string, image: string, since: number): void {
    const hasTime = performance.now() - since < Math.min(FOUND, UNDO / 2);
    if (!hasTime) return this.findings.count('missing content that nothing is known about');
    if (this.isDeletedSince(repository, digest, since)) return this.findings.count('deleted during a pull');
    this.findings.anomaly('an image is torn', `${repository}: ${digest} of ${image} is missing`);
  }
}

interface PendingDelete {
  done(): void;
  refused(): void;
  lost(): void;
}

/** The monotonic times between which an answer was decided. */
export interface Asked {
  readonly from: number;
  readonly until: number;
}

export function isImmutableTag(tag: string): boolean {
  return tag.startsWith('v');
}

/** True if the rules of a namespace may remove the tag. */
export function isRetainedTag(tag: string): boolean {
  return tag.startsWith('pr-');
}

/** Settles writes by the outcome of their request. */
export function settle(
  writes: readonly { done(): void; refused(): void; lost(until: number): void }[],
  outcome: 'done' | 'refused' | 'lost',
): void {
  for (const write of writes) {
    if (outcome === 'lost') write.lost(performance.now() + IN_DOUBT);
    else write[outcome]();
  }
}

function known<K, V>(map: Map<K, V>, key: K, create: () => V): V {
  const found = map.get(key) ?? create();
  map.set(key, found);
  return found;
}

export function short(value: TagValue): string {
  return value === null ? 'nothing' : value.slice(0, 15);
}
