import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Digest } from '../../../src/registry/digest.ts';
import { waitFor } from '../../support/wait-for.ts';
import type { PushClient } from './client.ts';
import type { Manifest } from './content.ts';
import { askCore, isReady, type PushOperatorOptions } from './operator.ts';
import { isRetainedTag, type RepositoryRules } from './oracle.ts';
import { listTags, pullTag } from './reader.ts';
import { LEASE, UNDO } from './times.ts';

/** The number of times for which everything that nothing needs may still be there. */
const ROUNDS = 5;
/** The most of its newest tags that retention keeps in the repositories that have such a rule. */
export const KEPT_TAGS = 3;

export interface EndOptions extends PushOperatorOptions {
  readonly client: PushClient;
}

/** What must be there when nobody pushes any more. */
interface Expected {
  readonly bytes: ReadonlyMap<string, number>;
  readonly files: ReadonlySet<string>;
  /** What is there although nothing needs it, or the other way round. */
  readonly differences: readonly string[];
}

/**
 * Judges what is left when nobody pushes any more: all that is tagged, nothing else, and counts that agree.
 */
export async function judgeEnd(options: EndOptions): Promise<void> {
  const { findings, adminPort, hubgate } = options;
  await waitFor(() => isReady(adminPort));
  let differences: readonly string[] = ['nothing was compared'];
  for (let round = 0; round < ROUNDS && differences.length > 0; round++) {
    // What a tag has meant before stays for a while, and what it has named for another one.
    await delay(LEASE + UNDO + 1_000);
    differences = await compareAll(options);
    findings.count('comparisons at the end');
  }
  for (const difference of differences)
    findings.anomaly('what is left at the end is not what must be', difference);
  try {
    await hubgate.run('hosted', 'verify');
  } catch (error) {
    findings.anomaly('hosted content is damaged', (error as Error).message);
  }
}

async function compareAll(options: EndOptions): Promise<readonly string[]> {
  // Pulls make waiting candidates wait for longer, so these come first.
  const candidates = (await askCore(options, 'POST', '/collect', { dryRun: true })) as object[];
  const tagged = new Map<RepositoryRules, ReadonlySet<Digest>>();
  for (const repository of options.repositories)
    tagged.set(repository, await pullEverything(options, repository));
  const expected = await observe(options, tagged);
  return [
    ...candidates.map((candidate) => `it is not decided yet: ${JSON.stringify(candidate)}`),
    ...expected.differences,
    ...(await compare(options, expected)),
  ];
}

/** Pulls every tag. Returns the digests that they mean. */
async function pullEverything(
  options: EndOptions,
  repository: RepositoryRules,
): Promise<ReadonlySet<Digest>> {
  const { findings } = options;
  const read = { ...options, repository };
  const listed = await listTags(read);
  const tagged = new Set<Digest>();
  for (const tag of repository.tags) {
    const digest = await pullTag(read, tag);
    if (digest === undefined || listed?.has(tag) !== (digest !== null))
      findings.anomaly('a tag is listed and not there, or the other way round', `${repository.name}:${tag}`);
    if (digest != null) tagged.add(digest);
  }
  const retained = [...(listed ?? [])].filter(isRetainedTag).length;
  if (retained > KEPT_TAGS)
    findings.anomaly('retention has left too many tags', `${repository.name} ${retained}`);
  return tagged;
}

/** Asks for every manifest that was ever pushed, and adds up what they and their blobs need. */
async function observe(
  options: EndOptions,
  tagged: ReadonlyMap<RepositoryRules, ReadonlySet<Digest>>,
): Promise<Expected> {
  const bytes = new Map<string, number>();
  const files = new Set<string>();
  const differences: string[] = [];
  const all = [...options.contents.all()].filter((one) => one.kind === 'manifest');
  for (const [repository, digests] of tagged) {
    const present = await presentManifests(options, repository, all);
    const blobs = new Set(
      [...present].flatMap(({ children }) => children.filter(({ kind }) => kind === 'blob')),
    );
    for (const { digest } of blobs) files.add(digest.replace('sha256:', ''));
    const sizes = [...present, ...blobs].map((content) => content.bytes.length);
    bytes.set(
      repository.name,
      sizes.reduce((sum, size) => sum + size, 0),
    );
    const needed = closureOf(digests, all);
    for (const manifest of all) {
      const why = whyWrong(options, repository, manifest, present.has(manifest), needed.has(manifest));
      if (why !== undefined) differences.push(`${repository.name}@${manifest.digest} ${why}`);
    }
  }
  return { bytes, files, differences };
}

async function presentManifests(
  { client }: EndOptions,
  { name }: RepositoryRules,
  all: readonly Manifest[],
): Promise<ReadonlySet<Manifest>> {
  const present = new Set<Manifest>();
  for (const manifest of all) {
    // A GET, because a HEAD is a promise to keep it.
    const answer = await client.send(name, 'GET', `manifests/${manifest.digest}`);
    if (answer?.status === 200) present.add(manifest);
  }
  return present;
}

/** Returns what is wrong with the presence or absence of a manifest; undefined if it is right. */
function whyWrong(
  { oracle, contents }: EndOptions,
  { name, collectsUntagged }: RepositoryRules,
  manifest: Manifest,
  isThere: boolean,
  isNeeded: boolean,
): string | undefined {
  const possible = oracle.content(name, manifest.digest).possible(Infinity, Infinity);
  if (isThere) {
    if (!possible.has(true)) return 'is back';
    return collectsUntagged && !isNeeded ? 'is there, and nothing needs it' : undefined;
  }
  // A referrer may have gone while its subject was away, and an image of an index after its index.
  if (manifest.subject !== undefined) return undefined;
  const wasChild = contents.indexes.some(({ children }) => children.includes(manifest));
  const isPinned = !collectsUntagged && !wasChild && !possible.has(false);
  return isNeeded || isPinned ? 'is missing' : undefined;
}

/** Returns the manifests with these digests, what they name, and what refers to them. */
function closureOf(digests: ReadonlySet<Digest>, all: readonly Manifest[]): ReadonlySet<Manifest> {
  const needed = new Set(all.filter(({ digest }) => digests.has(digest)));
  // What is added while this runs is visited too.
  for (const manifest of needed) {
    for (const child of manifest.children) if (child.kind === 'manifest') needed.add(child);
    for (const other of all) if (other.subject === manifest) needed.add(other);
  }
  return needed;
}

/** Compares the counts of the core and the files on the disk with what is expected. */
async function compare(options: EndOptions, { bytes, files }: Expected): Promise<readonly string[]> {
  const { hubgate } = options;
  const differences: string[] = [];
  const listed = (await askCore(options, 'GET', '')) as {
    readonly uploads: number;
    readonly repositories: readonly { readonly path: string; readonly bytes: number }[];
  };
  for (const [name, expected] of bytes) {
    const counted = listed.repositories.find(({ path: one }) => one === name)?.bytes ?? 0;
    if (counted !== expected) differences.push(`${name} counts ${counted} bytes, and has ${expected}`);
  }
  if (listed.uploads > 0) differences.push(`${listed.uploads} uploads are open`);
  const found = new Set(await namesBelow(path.join(hubgate.home, 'hosted/blobs')));
  const uploads = await namesBelow(path.join(hubgate.home, 'hosted/uploads'));
  for (const name of found.symmetricDifference(files))
    differences.push(`the file ${name} is ${found.has(name) ? 'there, and nothing needs it' : 'missing'}`);
  for (const name of uploads) differences.push(`the upload ${name} was left`);
  return differences;
}

async function namesBelow(directory: string): Promise<readonly string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
}
