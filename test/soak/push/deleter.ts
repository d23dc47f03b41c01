import { setTimeout as delay } from 'node:timers/promises';
import type { Digest } from '../../../src/registry/digest.ts';
import type { Random } from '../../crash/support/random.ts';
import type { Answer, PushClient } from './client.ts';
import type { Contents, Manifest } from './content.ts';
import { isImmutableTag, isRetainedTag, type RepositoryRules, settle } from './oracle.ts';
import { pickTag } from './pusher.ts';
import type { PushSurroundings } from './surroundings.ts';

const PAUSE = 500;

export interface DeleterOptions extends PushSurroundings {
  readonly client: PushClient;
  readonly targets: readonly RepositoryRules[];
  readonly random: Random;
}

interface Deletion extends DeleterOptions {
  readonly repository: RepositoryRules;
}

/** Deletes tags, manifests and blobs until the signal, and judges every answer. */
export async function deleteUntil(options: DeleterOptions): Promise<void> {
  const { targets, random, signal } = options;
  while (!signal.aborted) {
    const deletion: Deletion = { ...options, repository: random.pick(targets) };
    const chance = random.next();
    if (chance < 0.45) await deleteTag(deletion);
    else if (chance < 0.8) await deleteDigest(deletion);
    else await deleteBlob(deletion);
    await delay(random.below(PAUSE));
  }
}

async function deleteTag({ client, repository, random, oracle, findings }: Deletion): Promise<void> {
  const tag = pickTag(repository, random);
  const register = oracle.tag(repository.name, tag);
  const before = performance.now();
  const write = register.begin(null);
  const answer = await client.send(repository.name, 'DELETE', `manifests/${tag}`);
  if (answer === undefined) return settle([write], 'lost');
  const others = register.possible(before, answer.until, write);
  settle([write], answer.status === 202 ? 'done' : 'refused');
  const mayBeSet = [...others].some((value) => value !== null);
  const mayBeAbsent = others.has(null) || others.has('any') || isRetainedTag(tag);
  const isFine =
    (answer.status === 202 && mayBeSet && !isImmutableTag(tag)) ||
    (answer.status === 409 && mayBeSet && isImmutableTag(tag)) ||
    (answer.status === 404 && mayBeAbsent);
  findings.count(`tags deleted: ${answer.status}`);
  if (!isFine) findings.anomaly('the deletion of a tag has a wrong answer', inWords(repository, tag, answer));
}

/** A digest goes with all its tags, unless one of them is immutable, or an index names it. */
async function deleteDigest({
  client,
  repository,
  random,
  oracle,
  contents,
  findings,
}: Deletion): Promise<void> {
  const now = performance.now();
  const meant = [...oracle.tag(repository.name, pickTag(repository, random)).possible(now, now)];
  const manifest = contents.manifest(String(random.pick(meant)));
  if (manifest === undefined) return;
  const target = random.chance(0.2) ? random.pick(manifest.children) : manifest;
  if (target.kind === 'blob') return;
  const { digest } = target;
  const registers = repository.tags.map((tag) => ({ tag, register: oracle.tag(repository.name, tag) }));
  const writes = registers.map(({ register }) => register.begin(null, digest));
  const content = oracle.content(repository.name, digest).begin(false);
  const deletion = oracle.beginDelete(repository.name, digest);
  const answer = await client.send(repository.name, 'DELETE', `manifests/${digest}`);
  if (answer === undefined) {
    settle([...writes, content], 'lost');
    return deletion.lost();
  }
  const others = registers.map(({ tag, register }, at) => ({
    ...{ tag, possible: register.possible(now, answer.until, writes[at]) },
  }));
  judgeDigest({ repository, oracle, contents, findings }, target, answer, others);
  settle([...writes, content], answer.status === 202 ? 'done' : 'refused');
  if (answer.status === 202) deletion.done();
  else deletion.refused();
}

interface TagSeen {
  readonly tag: string;
  readonly possible: ReadonlySet<string | null>;
}

function judgeDigest(
  {
    repository,
    oracle,
    contents,
    findings,
  }: Pick<Deletion, 'repository' | 'oracle' | 'contents' | 'findings'>,
  { digest }: Manifest,
  answer: Answer,
  tags: readonly TagSeen[],
): void {
  const words = inWords(repository, digest, answer);
  const parents = parentsOf(contents, digest);
  const surelyTagged = tags.filter(({ tag }) => !isRetainedTag(tag));
  const isSurely = (possible: TagSeen['possible'], value: Digest) =>
    possible.size === 1 && possible.has(value);
  findings.count(`digests deleted: ${answer.status}`);
  switch (answer.status) {
    case 202:
      if (tags.some(({ tag, possible }) => isImmutableTag(tag) && isSurely(possible, digest)))
        findings.anomaly('an immutable tag was deleted with its digest', words);
      if (surelyTagged.some(({ possible }) => parents.some((parent) => isSurely(possible, parent.digest))))
        findings.anomaly('a manifest was deleted that a tagged index needs', words);
      return;
    case 403:
      if (
        parents.some((parent) =>
          oracle.content(repository.name, parent.digest).possible(0, answer.until).has(true),
        )
      )
        return;
      break;
    case 409:
      if (
        tags.some(({ tag, possible }) => isImmutableTag(tag) && (possible.has(digest) || possible.has('any')))
      )
        return;
      break;
    case 404:
      return oracle.judgePresence(repository.name, digest, false, answer);
  }
  findings.anomaly('the deletion of a digest has a wrong answer', words);
}

function parentsOf(contents: Contents, digest: Digest): readonly Manifest[] {
  return contents.indexes.filter(({ children }) => children.some((child) => child.digest === digest));
}

/** A blob that a manifest names is not deleted. */
async function deleteBlob({
  client,
  repository,
  random,
  oracle,
  contents,
  findings,
}: Deletion): Promise<void> {
  const image = random.pick(contents.images);
  const { digest } = random.pick(image.children);
  const content = oracle.content(repository.name, digest).begin(false);
  const deletion = oracle.beginDelete(repository.name, digest);
  const answer = await client.send(repository.name, 'DELETE', `blobs/${digest}`);
  if (answer === undefined) {
    settle([content], 'lost');
    return deletion.lost();
  }
  const isDone = answer.status === 202;
  if (isDone) deletion.done();
  else deletion.refused();
  settle([content], isDone ? 'done' : 'refused');
  findings.count(`blobs deleted: ${answer.status}`);
  if (answer.status === 404) oracle.judgePresence(repository.name, digest, false, answer);
  else if (!isDone && answer.status !== 403)
    findings.anomaly('the deletion of a blob has a wrong answer', inWords(repository, digest, answer));
}

function inWords({ name }: RepositoryRules, what: string, { status, body }: Answer): string {
  return `${name} ${what} ${status} ${body.toString().slice(0, 160)}`;
}
