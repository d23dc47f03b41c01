import { setTimeout as delay } from 'node:timers/promises';
import { type Digest, sha256Of } from '../../../src/registry/digest.ts';
import type { Random } from '../../crash/support/random.ts';
import type { Answer, PushClient } from './client.ts';
import type { Blob, Manifest } from './content.ts';
import { type Asked, isRetainedTag, type RepositoryRules } from './oracle.ts';
import type { PushSurroundings } from './surroundings.ts';
import { FOUND } from './times.ts';

const PAUSE = 40;

export interface ReaderOptions extends PushSurroundings {
  readonly clients: readonly PushClient[];
  /** A client that may neither pull nor push. */
  readonly outsider: PushClient;
  readonly random: Random;
}

/** One read by one client of one repository. */
interface Read extends PushSurroundings {
  readonly client: PushClient;
  readonly repository: RepositoryRules;
}

/** Pulls, lists and looks for content as random clients until the signal, and judges every answer. */
export async function readUntil(options: ReaderOptions): Promise<void> {
  const { clients, repositories, random, signal } = options;
  while (!signal.aborted) {
    const read: Read = { ...options, client: random.pick(clients), repository: random.pick(repositories) };
    const chance = random.next();
    if (chance < 0.65) await pullTag(read, random.pick(read.repository.tags));
    else if (chance < 0.75) await listTags(read);
    else if (chance < 0.95) await lookForContent(read, random);
    else await tryAsOutsider(options);
    await delay(random.below(PAUSE));
  }
}

/** Pulls everything that a tag means. Resolves to its digest, or null; undefined if there was no answer. */
export async function pullTag(read: Read, tag: string): Promise<Digest | null | undefined> {
  const { client, repository, oracle, findings, contents } = read;
  const answer = await client.send(repository.name, 'GET', `manifests/${tag}`);
  if (answer === undefined) return undefined;
  const digest = answer.status === 200 ? (String(answer.headers['docker-content-digest']) as Digest) : null;
  if (answer.status !== 200 && answer.status !== 404) {
    findings.anomaly('a pull has an unexpected status', `${repository.name}:${tag} ${answer.status}`);
    return undefined;
  }
  oracle.judgeTag(repository.name, tag, digest, answer);
  if (digest === null) return null;
  const manifest = contents.manifest(digest);
  if (manifest === undefined || !manifest.bytes.equals(answer.body))
    findings.anomaly('a manifest has wrong bytes', `${repository.name}:${tag} ${digest}`);
  else if (await pullChildren(read, manifest, answer.from)) {
    findings.count('images pulled');
    await pullReferrers(read, manifest, tag, answer.from);
  }
  return digest;
}

/** Resolves to true if all was pulled. `since` is a moment before one at which all of it was there. */
async function pullChildren(read: Read, manifest: Manifest, since: number): Promise<boolean> {
  const { client, repository, oracle, findings } = read;
  for (const child of manifest.children) {
    const kind = child.kind === 'blob' ? 'blobs' : 'manifests';
    const answer = await client.send(repository.name, 'GET', `${kind}/${child.digest}`);
    if (answer === undefined) return false;
    if (answer.status !== 200) {
      oracle.judgeMissing(repository.name, child.digest, manifest.digest, since);
      return false;
    }
    judgeBytes(read, child, answer);
    if (child.kind === 'manifest' && !(await pullChildren(read, child, since))) return false;
  }
  findings.count('manifests pulled with all that they name');
  return true;
}

function judgeBytes({ repository, findings }: Read, content: Blob | Manifest, { body }: Answer): void {
  findings.count('MiB pulled and compared', body.length / 2 ** 20);
  if (sha256Of(body) !== content.digest)
    findings.anomaly('content does not match its digest', `${repository.name}@${content.digest}`);
}

/** A referrer is listed if its subject had one tag ever since the referrer was pushed. */
async function pullReferrers(read: Read, subject: Manifest, tag: string, since: number): Promise<void> {
  const { client, repository, oracle, contents, findings } = read;
  const answer = await client.send(repository.name, 'GET', `referrers/${subject.digest}`);
  if (answer === undefined) return;
  if (answer.status !== 200)
    return findings.anomaly('referrers have an unexpected status', `${repository.name} ${answer.status}`);
  const listed = new Set<string>(
    JSON.parse(answer.body.toString()).manifests.map(({ digest }: { readonly digest: string }) => digest),
  );
  for (const digest of listed) {
    oracle.judgePresence(repository.name, digest, true, answer);
    const referrer = contents.manifest(digest);
    if (referrer?.subject?.digest !== subject.digest)
      findings.anomaly('a list of referrers has a manifest that refers to something else', digest);
    else await pullChildren(read, referrer, Math.max(since, answer.from));
  }
  for (const content of contents.all()) {
    if (content.kind === 'blob' || content.subject?.digest !== subject.digest || listed.has(content.digest))
      continue;
    const isHeld = oracle.isHeld(repository.name, content.digest, answer);
    if (isHeld || isKept(read, content, subject, tag, answer))
      findings.anomaly('a referrer is missing', `${repository.name}@${content.digest} of ${subject.digest}`);
  }
}

/** True if the subject had the tag ever since the referrer was pushed, and nobody has deleted either. */
function isKept(
  read: Read,
  referrer: Manifest,
  subject: Manifest,
  tag: string,
  { from, until }: Asked,
): boolean {
  const { repository, oracle } = read;
  const register = oracle.content(repository.name, referrer.digest);
  const pushed = register.lastWrite;
  return (
    pushed !== undefined &&
    pushed.until <= from &&
    !register.possible(from, until).has(false) &&
    hasMeant(read, tag, subject.digest, pushed.from, until) &&
    !oracle.isDeletedSince(repository.name, subject.digest, pushed.from)
  );
}

function hasMeant(
  { repository, oracle }: Read,
  tag: string,
  digest: Digest,
  from: number,
  to: number,
): boolean {
  const possible = oracle.tag(repository.name, tag).possible(from, to);
  // A rule may have removed such a tag meanwhile.
  return !isRetainedTag(tag) && possible.size === 1 && possible.has(digest);
}

/** Lists the tags page by page, and judges the list. */
export async function listTags(read: Read): Promise<ReadonlySet<string> | undefined> {
  const { client, repository, findings } = read;
  const listed = new Set<string>();
  const from = performance.now();
  for (let page: string | undefined = 'tags/list?n=4'; page !== undefined; ) {
    const answer: Answer | undefined = await client.send(repository.name, 'GET', page);
    if (answer === undefined) return undefined;
    if (answer.status === 404) break;
    for (const tag of JSON.parse(answer.body.toString()).tags) listed.add(tag);
    const next = /<\/v2\/(.*)>; rel="next"/.exec(String(answer.headers.link))?.[1];
    page = next?.slice(repository.name.length + 1);
  }
  findings.count('lists of tags read');
  judgeList(read, listed, { from, until: performance.now() });
  return listed;
}

/** A list has every tag that is surely there, and none that is surely not. */
function judgeList(
  { repository, oracle, findings }: Read,
  listed: ReadonlySet<string>,
  { from, until }: Asked,
): void {
  for (const tag of repository.tags) {
    const possible = oracle.tag(repository.name, tag).possible(from, until);
    if (possible.has('any')) continue;
    const where = `${repository.name}:${tag}`;
    const mayBeThere = [...possible].some((value) => value !== null);
    const mayBeAbsent = possible.has(null) || isRetainedTag(tag);
    if (listed.has(tag) && !mayBeThere) findings.anomaly('a deleted tag is listed', where);
    if (!listed.has(tag) && !mayBeAbsent) findings.anomaly('a tag is not listed', where);
  }
}

/** Looks for content by its digest, wherever it may be. */
async function lookForContent(read: Read, random: Random): Promise<void> {
  const { client, repository, oracle, contents, findings } = read;
  const content = random.pick([...contents.all()]);
  const kind = content.kind === 'blob' ? 'blobs' : 'manifests';
  const method = random.chance(0.5) ? 'HEAD' : 'GET';
  const answer = await client.send(repository.name, method, `${kind}/${content.digest}`);
  if (answer === undefined) return;
  findings.count(`content looked for: ${answer.status}`);
  if (answer.status !== 200 && answer.status !== 404)
    return findings.anomaly(
      'a pull has an unexpected status',
      `${repository.name}@${content.digest} ${answer.status}`,
    );
  if (method === 'GET' && answer.status === 200) judgeBytes(read, content, answer);
  const { from, until } = answer;
  oracle.judgePresence(repository.name, content.digest, answer.status === 200, { from, until });
  if (method === 'HEAD' && answer.status === 200)
    oracle.lease(repository.name, content.digest, answer, FOUND);
}

/** Nobody without a rule gets anything but a refusal, whether it exists or not. */
async function tryAsOutsider({
  outsider,
  repositories,
  random,
  findings,
  contents,
}: ReaderOptions): Promise<void> {
  const { name } = random.pick(repositories);
  const { digest } = random.pick(contents.images);
  const [method, resource] = random.pick([
    ['GET', `manifests/${digest}`],
    ['GET', 'tags/list'],
    ['POST', `blobs/uploads/?digest=${digest}`],
    ['DELETE', 'manifests/latest'],
  ] as const);
  const answer = await outsider.send(name, method, resource);
  if (answer !== undefined && answer.status !== 403)
    findings.anomaly('an outsider was not refused', `${method} ${name}/${resource} ${answer.status}`);
}
