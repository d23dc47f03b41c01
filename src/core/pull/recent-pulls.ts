import { randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../../platform/clock.ts';
import { ExpiringCache } from '../../platform/expiring-cache.ts';
import type { Digest } from '../../registry/digest.ts';
import type { Reference, Tag } from '../../registry/reference.ts';
import type { Repository } from '../../registry/repository.ts';
import { PULL_REMEMBERED_FOR } from '../limits.ts';
import { childrenOf } from './manifest-document.ts';

/** A request for a manifest, and what came of it. */
export interface AskedManifest {
  readonly reference: Reference;
  readonly method: 'GET' | 'HEAD';
  /** That was asked for, or that the tag came to. */
  readonly digest: Digest;
  /** The manifest's own, where it was read. */
  readonly bytes: Buffer | undefined;
}

/** From the first request for its root, which is the manifest that a tag or a digest names. */
interface RecentPull {
  readonly id: string;
  readonly root: Digest;
  readonly tag: Tag | undefined;
  /** How the root was asked for: `HEAD tag`. */
  readonly began: Set<string>;
  /** Those that were asked for, the root among them. */
  readonly manifests: Set<Digest>;
  /** Was anything else than the root asked for? */
  hasGoneOn: boolean;
  usedAt: number;
}

/** Callers, each in one repository, and for each of them this many pulls with this many manifests. */
const MAX_CALLERS = 5_000;
const MAX_PULLS = 4;
const MAX_MANIFESTS = 64;
/** Digests that manifests name, all together. */
const MAX_NAMED = 100_000;

/**
 * Which requests are one pull: of one caller in one repository, a tag or a digest and then what its manifests name. Here
 * because there is one core: a client's connections end in several gateways, tokens are shared by pulls or not there at
 * all, and no client says. A caller is an opaque text. What is asked for by a caller twice at the same time can not be told
 * apart, and after a restart a pull under way goes on as another.
 */
export class RecentPulls {
  readonly #clock: Clock;
  /** The latest first. */
  readonly #pulls: ExpiringCache<RecentPull[]>;
  readonly #named = new LRUCache<Digest, ReadonlySet<Digest>>({
    maxSize: MAX_NAMED,
    sizeCalculation: ({ size }) => size + 1,
  });

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#pulls = new ExpiringCache(MAX_CALLERS, clock);
  }

  /** The id of the pull that a request for a manifest belongs to. */
  ofManifest(caller: string, repository: Repository, asked: AskedManifest): string {
    const { reference, digest, bytes } = asked;
    if (bytes !== undefined && !this.#named.has(digest)) this.#named.set(digest, namesIn(bytes));
    const pulls = this.#recent(caller, repository);
    const how = `${asked.method} ${reference.kind}`;
    const pull =
      pulls.find(
        (one) => isBeginning(one, reference, digest, how) || this.#follows(one, reference, digest),
      ) ?? begin(pulls, digest, reference.kind === 'tag' ? reference.tag : undefined);
    if (digest === pull.root) pull.began.add(how);
    else pull.hasGoneOn = true;
    if (pull.manifests.size < MAX_MANIFESTS) pull.manifests.add(digest);
    return this.#keep(caller, repository, pulls, pull);
  }

  /** Of a blob; one that no manifest of a recent pull names is taken for a part of the last pull. */
  ofBlob(caller: string, repository: Repository, digest: Digest): string {
    const pulls = this.#recent(caller, repository);
    const pull = pulls.find((one) => this.#names(one, digest)) ?? pulls[0] ?? begin(pulls, digest, undefined);
    pull.hasGoneOn = true;
    return this.#keep(caller, repository, pulls, pull);
  }

  #recent(caller: string, { name }: Repository): RecentPull[] {
    const since = this.#clock() - PULL_REMEMBERED_FOR;
    return (this.#pulls.get(`${caller} ${name}`) ?? []).filter(({ usedAt }) => usedAt > since);
  }

  #keep(caller: string, { name }: Repository, pulls: RecentPull[], pull: RecentPull): string {
    pull.usedAt = this.#clock();
    this.#pulls.set(`${caller} ${name}`, pulls.slice(0, MAX_PULLS), PULL_REMEMBERED_FOR);
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

/** A client asks for the root in each way once, first by the tag: once more is another pull. */
function isBeginning(pull: RecentPull, reference: Reference, digest: Digest, how: string): boolean {
  const { root, tag, began, hasGoneOn } = pull;
  if (root !== digest || hasGoneOn || began.has(how)) return false;
  return reference.kind === 'digest' || (tag === reference.tag && how === 'GET tag' && began.size === 1);
}

function begin(pulls: RecentPull[], root: Digest, tag: Tag | undefined): RecentPull {
  const id = randomBytes(8).toString('hex');
  const pull = { id, root, tag, began: new Set<string>(), manifests: new Set<Digest>() };
  const begun: RecentPull = { ...pull, hasGoneOn: false, usedAt: 0 };
  pulls.unshift(begun);
  return begun;
}

/** What was put into the cache as a blob can be asked for as a manifest, and need not be one. */
function namesIn(bytes: Buffer): ReadonlySet<Digest> {
  try {
    return new Set(childrenOf(bytes));
  } catch {
    return new Set();
  }
}
