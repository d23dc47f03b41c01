import type { Answer } from './client.ts';
import type { Blob, Manifest } from './content.ts';
import { isImmutableTag, type Lease, settle, type TagValue } from './oracle.ts';
import { ensureBlob, type Push } from './push-blob.ts';
import { FOUND, LEASE } from './times.ts';

/** The promises on which a manifest relies: how long each of its children is there. */
export type Leases = Map<string, Lease>;

/** Pushes a manifest after everything that it names. Resolves to false if that failed. */
export async function pushWhole(push: Push, manifest: Manifest, tag?: string): Promise<boolean> {
  const leases: Leases = new Map();
  for (const child of push.random.shuffle(manifest.children)) {
    const lease = await ensureChild(push, child);
    if (lease === undefined) return false;
    leases.set(child.digest, lease);
  }
  return (await putManifest(push, manifest, leases, tag)) !== undefined;
}

async function ensureChild(push: Push, child: Blob | Manifest): Promise<Lease | undefined> {
  if (child.kind === 'blob') return ensureBlob(push, child);
  const { client, repository, random, oracle } = push;
  if (random.chance(0.7)) {
    const answer = await client.send(repository.name, 'HEAD', `manifests/${child.digest}`);
    if (answer === undefined) return undefined;
    oracle.judgePresence(repository.name, child.digest, answer.status === 200, answer);
    if (answer.status === 200) return oracle.lease(repository.name, child.digest, answer, FOUND);
  }
  const leases: Leases = new Map();
  for (const blob of child.children) {
    const lease = await ensureChild(push, blob);
    if (lease === undefined) return undefined;
    leases.set(blob.digest, lease);
  }
  return putManifest(push, child, leases);
}

/**
 * Puts a manifest under its tag, or its digest, and judges the answer. Resolves to its lease if it is there.
 */
export async function putManifest(
  push: Push,
  manifest: Manifest,
  leases: Leases,
  tag?: string,
): Promise<Lease | undefined> {
  const { client, repository, random, oracle } = push;
  const { digest, bytes, mediaType } = manifest;
  const byDigest = tag !== undefined && random.chance(0.2);
  const resource = byDigest ? `manifests/${digest}?tag=${tag}` : `manifests/${tag ?? digest}`;
  const content = oracle.content(repository.name, digest).begin(true);
  // What others may have written is judged, so its own write begins after that was read.
  const register = tag === undefined ? undefined : oracle.tag(repository.name, tag);
  const before = performance.now();
  const others = () => register?.possible(before, performance.now(), own) ?? new Set<TagValue>();
  const own = register?.begin(digest);
  const writes = [content, ...(own ? [own] : [])];
  const answer = await client.send(repository.name, 'PUT', resource, {
    ...{ headers: { 'content-type': mediaType }, body: bytes },
  });
  if (answer === undefined) {
    settle(writes, 'lost');
    return undefined;
  }
  if (tag !== undefined) judgeMove(push, manifest, tag, answer, others());
  settle(writes, answer.status === 201 ? 'done' : 'refused');
  if (answer.status !== 201) {
    judgeRefusedManifest(push, manifest, leases, tag, answer);
    return undefined;
  }
  oracle.findings.count(tag === undefined ? 'manifests pushed' : 'tags pushed');
  return oracle.lease(repository.name, digest, answer, LEASE);
}

/** An immutable tag that means something else is not moved, and every other tag is. */
function judgeMove(
  { repository, oracle }: Push,
  { digest }: Manifest,
  tag: string,
  { status }: Answer,
  others: ReadonlySet<TagValue>,
): void {
  if (status !== 201 && status !== 409) return;
  const mayBeFree = others.has(null) || others.has(digest) || others.has('any');
  const mayBeTaken = [...others].some((value) => value !== null && value !== digest);
  const isFine = status === 201 ? !isImmutableTag(tag) || mayBeFree : isImmutableTag(tag) && mayBeTaken;
  if (!isFine)
    oracle.findings.anomaly(
      status === 201 ? 'an immutable tag was moved' : 'a tag could not be set that is free',
      `${repository.name}:${tag} to ${digest}, which meant ${[...others].join(', ')}`,
    );
}

const UNKNOWN_CHILD = /the repository does not have (\S+?);/;

function judgeRefusedManifest(
  { repository, oracle, client }: Push,
  { digest }: Manifest,
  leases: Leases,
  tag: string | undefined,
  { status, body, from, until }: Answer,
): void {
  const words = body.toString().slice(0, 200);
  const child = UNKNOWN_CHILD.exec(words)?.[1];
  if (status === 409 && tag !== undefined) oracle.findings.count('immutable tags that were not moved');
  else if (status === 403 && repository.hasQuota) oracle.findings.count('refused by the quota');
  else if (status === 400 && child !== undefined) {
    const lease = leases.get(child);
    if (lease !== undefined && !oracle.isHeld(repository.name, child, { from, until }, lease))
      oracle.findings.count('manifests whose content was deleted, or came too long ago');
    else
      oracle.findings.anomaly(
        'MANIFEST_BLOB_UNKNOWN for a client that has pushed everything',
        `${client.name} ${repository.name}@${digest}: ${words}`,
      );
  } else
    oracle.findings.anomaly('a manifest was refused', `${client.name} ${repository.name} ${status} ${words}`);
}
