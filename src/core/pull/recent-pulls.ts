import { LRUCache } from 'lru-cache';
import type { Clock } from '../../platform/clock.ts';
import { ExpiringCache } from '../../platform/expiring-cache.ts';
import { RandomIds } from '../../platform/random-ids.ts';
import type { Digest } from '../../registry/digest.ts';
import type { Reference, Tag } from '../../registry/reference.ts';
import type { Repository } from '../../registry/repository.ts';
import { RECENT_PULL_TTL } from '../limits.ts';
import { childrenOf } from './validate-document.ts';

/** A request for a manifest, and its result. */
export interface AskedManifest {
  readonly reference: Reference;
  readonly method: 'GET' | 'HEAD';
  /** The requested digest, or the digest that the tag resolved to. */
  readonly digest: Digest;
  /** The bytes of the manifest, if they were read. */
  readonly bytes: Buffer | undefined;
}

/** A pull, from the first request for its root on. The root is the manifest that a tag or a digest names. */
interface RecentPull {
  readonly id: string;
  readonly root: Digest;
  readonly tag: Tag | undefined;
  /** The ways in which the root was requested, such as `HEAD tag`. */
  readonly began: Set<string>;
  /** The requested manifests, including the root. */
  readonly manifests: Set<Digest>;
  /** True if anything except the root was requested. */
  hasGoneOn: boolean;
  usedAt: number;
}

/** The bytes of a pull's id. */
const ID_BYTES = 8;
/** The most pairs of a caller and a repository, the most pulls of each, and the most manifests of a pull. */
const MAX_CALLERS = 5_000;
const MAX_PULLS = 4;
const MAX_MANIFESTS = 64;
/** The most digests that the cached manifests name, in total. */
const MAX_NAMED = 100_000;

/**
 * Determines which requests belong to one pull: one caller in one repository requests a tag or a digest, and
 * then the content that its manifests name. The core does this because there is only one core. The
 * connections of a client end in several gateways, pulls share a token or have none, and no client says which
 * pull a request belongs to. A caller is an opaque text. Two pulls of one caller for the same thing at the
 * same time cannot be distinguished, and after a restart a pull under way continues as another one.
 */
export class RecentPulls {
  readonly #clock: Clock;
  readonly #ids = new RandomIds(ID_BYTES);
  /** The pulls of each caller, the latest first. */
  readonly #pulls: ExpiringCache<RecentPull[]>;
  readonly #named = new LRUCache<Digest, ReadonlySet<Digest>>({
    maxSize: MAX_NAMED,
    sizeCalculation: ({ size }) => size + 1,
  });

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#pulls = new ExpiringCache(MAX_CALLERS, clock);
  }

  /** Returns the id of the pull that a request for a manifest belongs to. */
  ofManifest(caller: string, repository: Repository, asked: AskedManifest): string {
    const { reference, digest, bytes } = asked;
    if (bytes !== undefined && !this.#named.has(digest)) this.#named.set(digest, namesIn(bytes));
    const pulls = this.#recent(caller, repository);
    const how = `${asked.method} ${reference.kind}`;
    const pull =
      pulls.find(
        (one) => isBeginning(one, reference, digest, how) || this.#follows(one, reference, digest),
      ) ?? begin(pulls, this.#ids.next(), digest, reference.kind === 'tag' ? reference.tag : undefined);
    if (digest === pull.root) pull.began.add(how);
    else pull.hasGoneOn = true;
    if (pull.manifests.size < MAX_MANIFESTS) pull.manifests.add(digest);
    return this.#keep(caller, repository, pulls, pull);
  }

  /**
   * Returns the id of the pull that a request for a blob belongs to. If no manifest of a recent pull names
   * the blob, it is the last pull.
   */
  ofBlob(caller: string, repository: Repository, digest: Digest): string {
    const pulls = this.#recent(caller, repository);
    const pull =
      pulls.find((one) => this.#names(one, digest)) ??
      pulls[0] ??
      begin(pulls, this.#ids.next(), digest, undefined);
    pull.hasGoneOn = true;
    return this.#keep(caller, repository, pulls, pull);
  }

  #recent(caller: string, { name }: Repository): RecentPull[] {
    const since = this.#clock() - RECENT_PULL_TTL;
    return (this.#pulls.get(`${caller} ${name}`) ?? []).filter(({ usedAt }) => usedAt > since);
  }

  #keep(caller: string, { name }: Repository, pulls: RecentPull[], pull: RecentPull): string {
    pull.usedAt = this.#clock();
    this.#pulls.set(`${caller} ${name}`, pulls.slice(0, MAX_PULLS), RECENT_PULL_TTL);
    return pull.id;
  }

  #follows(pull: RecentPull, { kind }: Reference, digest: Digest): boolean {
    return kind === 'digest' && digest !== pull.root && this.#names(pull, digest);
  }

  #names({ manifests }: RecentPull, digest: Digest): boolean {
    for (const manifest of manifests) if (this.#named.get(manifest)?.has(digest)) return true;
    return false;
  }
}

/**
 * True if the request is another way to request the root. A client requests it once in each way, first by the
 * tag, so a repetition begins another pull.
 */
function isBeginning(pull: RecentPull, reference: Reference, digest: Digest, how: string): boolean {
  const { root, tag, began, hasGoneOn } = pull;
  if (root !== digest || hasGoneOn || began.has(how)) return false;
  return reference.kind === 'digest' || (tag === reference.tag && how === 'GET tag' && began.size === 1);
}

function begin(pulls: RecentPull[], id: string, root: Digest, tag: Tag | undefined): RecentPull {
  const pull = { id, root, tag, began: new Set<string>(), manifests: new Set<Digest>() };
  const begun: RecentPull = { ...pull, hasGoneOn: false, usedAt: 0 };
  pulls.unshift(begun);
  return begun;
}

/** A client can request any blob of the cache as a manifest, and then the bytes need not be one. */
function namesIn(bytes: Buffer): ReadonlySet<Digest> {
  try {
    return new Set(childrenOf(bytes));
  } catch {
    return new Set();
  }
}
