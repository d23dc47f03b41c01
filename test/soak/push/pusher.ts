import { setTimeout as delay } from 'node:timers/promises';
import type { Random } from '../../crash/support/random.ts';
import type { PushClient } from './client.ts';
import type { Manifest } from './content.ts';
import type { RepositoryRules } from './oracle.ts';
import type { Push } from './push-blob.ts';
import { type Leases, pushWhole, putManifest } from './push-manifest.ts';
import type { PushSurroundings } from './surroundings.ts';
import { FOUND } from './times.ts';

const PAUSE = 60;

export interface PusherOptions extends PushSurroundings {
  readonly clients: readonly PushClient[];
  /** The repositories to which the clients may push. */
  readonly targets: readonly RepositoryRules[];
  readonly random: Random;
}

/** Pushes images, indexes, signatures and tags as random clients until the signal. */
export async function pushUntil(options: PusherOptions): Promise<void> {
  const { clients, targets, random, contents, signal, findings } = options;
  while (!signal.aborted) {
    const repository = random.pick(targets);
    const push: Push = { ...options, client: random.pick(clients), repository };
    const tag = pickTag(repository, random);
    const chance = random.next();
    if (chance < 0.5 && (await pushWhole(push, random.pick(contents.images), tag)))
      findings.count('images pushed');
    else if (chance < 0.65 && (await pushWhole(push, random.pick(contents.indexes), tag)))
      findings.count('indexes pushed');
    else if (chance < 0.7) await pushWhole(push, random.pick(contents.images));
    else if (chance < 0.85) await retag(push, tag);
    else await refer(push);
    await delay(random.below(PAUSE));
  }
}

/**
 * The first tags of a repository are taken more often than the last ones, which so mean the same for long.
 */
export function pickTag({ tags }: RepositoryRules, random: Random): string {
  return tags[Math.floor(tags.length * random.next() ** 1.7)] ?? '';
}

/** Gives another tag to an image that has one, as `crane tag` does: the manifest is read and put again. */
async function retag(push: Push, tag: string): Promise<void> {
  const tagged = await readTagged(push);
  if (tagged === undefined) return;
  await putManifest(push, tagged.manifest, tagged.leases, tag);
}

/** Pushes a manifest that refers to an image that has a tag, as a signature does. */
async function refer(push: Push): Promise<void> {
  const tagged = await readTagged(push);
  if (tagged === undefined) return;
  const { subject } = tagged.manifest;
  // A signature can be signed too, and that one not.
  if (subject?.subject !== undefined) return;
  const isDone = await pushWhole(push, push.contents.referrer(tagged.manifest, push.random));
  if (isDone) push.findings.count('referrers pushed');
}

/** Reads a random tag. What the image consists of is there for a while, even if somebody deletes it now. */
async function readTagged({
  client,
  repository,
  random,
  contents,
  oracle,
}: Push): Promise<{ readonly manifest: Manifest; readonly leases: Leases } | undefined> {
  const answer = await client.send(repository.name, 'GET', `manifests/${pickTag(repository, random)}`);
  if (answer?.status !== 200) return undefined;
  const manifest = contents.manifest(String(answer.headers['docker-content-digest']));
  if (manifest === undefined) {
    oracle.findings.anomaly('a tag means a manifest that nobody has pushed', repository.name);
    return undefined;
  }
  const lease = { from: answer.from, since: answer.until, until: answer.from + FOUND };
  return { manifest, leases: new Map(manifest.children.map(({ digest }) => [digest, lease])) };
}
