import type { Random } from '../../crash/support/random.ts';
import type { Answer, PushClient } from './client.ts';
import type { Blob } from './content.ts';
import type { Lease, RepositoryRules } from './oracle.ts';
import { settle } from './oracle.ts';
import type { PushSurroundings } from './surroundings.ts';
import { FOUND, IDLE_UPLOAD, LEASE } from './times.ts';

const BYTES = { 'content-type': 'application/octet-stream' };
const MOUNTED = 0.3;
const LOOKED_FOR = 0.6;

/** One push by one client to one repository. */
export interface Push extends PushSurroundings {
  readonly client: PushClient;
  readonly repository: RepositoryRules;
  readonly random: Random;
}

/**
 * Makes a repository have a blob, as clients do. Resolves to how long it is there; undefined if that failed.
 */
export async function ensureBlob(push: Push, blob: Blob): Promise<Lease | undefined> {
  const { random } = push;
  if (random.chance(LOOKED_FOR)) {
    const lease = await findBlob(push, blob);
    if (lease !== undefined) return lease;
  }
  return uploadBlob(push, blob);
}

async function findBlob({ client, repository, oracle }: Push, { digest }: Blob): Promise<Lease | undefined> {
  const answer = await client.send(repository.name, 'HEAD', `blobs/${digest}`);
  if (answer === undefined) return undefined;
  if (answer.status !== 200 && answer.status !== 404)
    oracle.findings.anomaly(
      'a HEAD of a blob has an unexpected status',
      `${repository.name} ${answer.status}`,
    );
  oracle.judgePresence(repository.name, digest, answer.status === 200, answer);
  return answer.status === 200 ? oracle.lease(repository.name, digest, answer, FOUND) : undefined;
}

async function uploadBlob(push: Push, blob: Blob): Promise<Lease | undefined> {
  const { client, repository, random, oracle } = push;
  const { digest, bytes } = blob;
  const write = oracle.content(repository.name, digest).begin(true);
  const way = random.below(4);
  const answer =
    way === 0
      ? await client.send(repository.name, 'POST', `blobs/uploads/?digest=${digest}`, {
          ...{ headers: BYTES, body: bytes },
        })
      : await uploadInParts(push, blob, way);
  if (answer === undefined || answer === 'given-up') settle([write], 'lost');
  else if (answer.status === 201) {
    settle([write], 'done');
    oracle.findings.count('blobs pushed');
    return oracle.lease(repository.name, digest, answer, LEASE);
  } else {
    settle([write], 'refused');
    judgeRefusedBlob(push, answer);
  }
  return undefined;
}

/** Begins an upload, or mounts the blob, and sends what is missing. */
async function uploadInParts(push: Push, blob: Blob, way: number): Promise<Answer | 'given-up' | undefined> {
  const { client, repository, random } = push;
  const { digest, bytes } = blob;
  const from = random.pick(push.repositories).name;
  const query = random.chance(MOUNTED) ? `?mount=${digest}&from=${from}` : '';
  const begun = await client.send(repository.name, 'POST', `blobs/uploads/${query}`);
  if (begun === undefined) return undefined;
  if (begun.status === 201) judgeMount(push, blob, from, begun);
  if (begun.status !== 202) return begun;
  const upload = String(begun.headers.location).slice(`/v2/${repository.name}/`.length);
  const isBroken = random.chance(0.02);
  if (isBroken) {
    await client.breakOff(repository.name, 'PATCH', upload, bytes);
    return 'given-up';
  }
  if (random.chance(0.02)) return cancel(push, upload);
  if (random.chance(0.02)) return completeWrongly(push, upload, blob);
  return sendParts(push, upload, blob, way === 1 ? 0 : way);
}

/** Sends a blob in `chunks` chunks and a last request that completes it. */
async function sendParts(
  push: Push,
  upload: string,
  blob: Blob,
  chunks: number,
): Promise<Answer | undefined> {
  const { client, repository, oracle } = push;
  const { digest, bytes } = blob;
  const size = Math.ceil(bytes.length / Math.max(1, chunks));
  let touched = performance.now();
  const send = async (method: string, target: string, body: Buffer, headers: Record<string, string>) => {
    const answer = await client.send(repository.name, method, target, {
      headers: { ...BYTES, ...headers },
      body,
    });
    const isIdle = performance.now() - touched > IDLE_UPLOAD / 2;
    if (answer?.status === 404 && !isIdle && !push.outages.since(touched, 'core'))
      oracle.findings.anomaly('an upload has vanished', `${repository.name}/${target}`);
    touched = performance.now();
    return answer;
  };
  for (let at = 0; at < chunks * size && at < bytes.length; at += size) {
    const part = bytes.subarray(at, at + size);
    const range = { 'content-range': `${at}-${at + part.length - 1}` };
    const answer = await send('PATCH', upload, part, range);
    if (answer?.status !== 202) return answer;
  }
  const rest = chunks === 0 ? bytes : Buffer.alloc(0);
  return send('PUT', `${upload}?digest=${digest}`, rest, {});
}

/** An upload that was removed by a kill, or because it was idle for too long, is unknown. */
async function cancel({ client, repository, oracle }: Push, upload: string): Promise<'given-up'> {
  const answer = await client.send(repository.name, 'DELETE', upload);
  if (answer !== undefined && answer.status !== 204 && answer.status !== 404)
    oracle.findings.anomaly('an upload cannot be cancelled', `${repository.name} ${answer.status}`);
  return 'given-up';
}

async function completeWrongly(push: Push, upload: string, { digest, bytes }: Blob): Promise<'given-up'> {
  const { client, repository, oracle } = push;
  const body = Buffer.concat([bytes, Buffer.from('more')]);
  const answer = await client.send(repository.name, 'PUT', `${upload}?digest=${digest}`, {
    ...{ headers: BYTES, body },
  });
  if (answer?.status === 201)
    oracle.findings.anomaly('bytes were published under a wrong digest', `${repository.name}@${digest}`);
  return 'given-up';
}

/** A mount succeeds only from a repository that the client may pull, and that has the blob. */
function judgeMount(push: Push, { digest }: Blob, from: string, { from: asked, until }: Answer): void {
  const { oracle, client } = push;
  if (!push.mayPull(client, from))
    oracle.findings.anomaly('a blob was mounted from a secret repository', `${client.name} from ${from}`);
  if (!oracle.content(from, digest).possible(asked, until).has(true))
    oracle.findings.anomaly('a blob was mounted from where it is not', `${from}@${digest}`);
  oracle.findings.count('blobs mounted');
}

function judgeRefusedBlob(
  { repository, oracle, client, outages }: Push,
  { status, body, from }: Answer,
): void {
  const words = `${client.name} ${repository.name} ${status} ${body.toString().slice(0, 200)}`;
  if (status === 403 && repository.hasQuota) oracle.findings.count('refused by the quota');
  else if (status === 404 && outages.since(from - IDLE_UPLOAD, 'core'))
    oracle.findings.count('uploads lost by a kill');
  else if (status === 404) oracle.findings.count('uploads that were idle for too long');
  else oracle.findings.anomaly('a blob was refused', words);
}
