import { setTimeout as delay } from 'node:timers/promises';
import type { Digest } from '../../src/registry/digest.ts';
import type { Random } from '../crash/support/random.ts';
import type { TestImage } from '../support/image.ts';
import type { Catalogue, SoakRepository } from './catalogue.ts';
import type { SoakClient } from './client.ts';
import type { Disruptions } from './disruptions.ts';
import type { Findings } from './findings.ts';
import type { Answered, Oracle } from './oracle.ts';
import type { Uses } from './uses.ts';

const PAUSE = 150;

export interface PullerOptions {
  readonly clients: readonly SoakClient[];
  readonly catalogue: Catalogue;
  readonly oracle: Oracle;
  readonly findings: Findings;
  readonly disruptions: Disruptions;
  readonly uses: Uses;
  readonly random: Random;
  readonly signal: AbortSignal;
}

/** Pulls as random principals until the signal, and has every answer judged. */
export async function pull(options: PullerOptions): Promise<void> {
  const { clients, catalogue, random, signal } = options;
  while (!signal.aborted) {
    const client = random.pick(clients);
    const repository = random.pick(catalogue.repositories);
    if (random.chance(0.03)) await logInWrongly(client, options);
    else await pullImage(client, repository, options);
    await delay(random.below(PAUSE));
  }
}

async function logInWrongly(client: SoakClient, { findings, disruptions }: PullerOptions): Promise<void> {
  if (client.principal.kind !== 'user') return;
  const status = await client.logInWrongly().catch(() => 0);
  if (status === 0) disruptions.judgeFailure('a login', new Error('no answer'));
  findings.count('wrong logins');
  if (status === 200) findings.anomaly('a wrong password was accepted', client.principal.name);
}

async function pullImage(
  client: SoakClient,
  repository: SoakRepository,
  options: PullerOptions,
): Promise<void> {
  const { oracle, random, findings, uses } = options;
  const byTag = await answer(client, repository, 'manifests/latest', options);
  if (byTag === undefined) return;
  oracle.judgeTag(byTag);
  if (byTag.status !== 200) return;
  const digest = byTag.headers['docker-content-digest'] as Digest;
  oracle.judgeBytes(byTag, digest);
  const image = repository.images.get(digest);
  if (image === undefined) return findings.anomaly('a tag resolves to an unknown digest', digest);
  for (const blob of random.shuffle([image.config, ...image.layers])) {
    const range = random.chance(0.1) ? { range: 'bytes=10-99' } : undefined;
    uses.use(image);
    const got = await answer(client, repository, `blobs/${blob}`, options, range);
    uses.use(image);
    if (got === undefined) return;
    if (got.status === 200) oracle.judgeBytes(got, blob);
    if (got.status === 206 && !isPart(got, image, blob))
      findings.anomaly('a range has the wrong bytes', `${repository.path} ${blob}`);
  }
  findings.count('images pulled');
}

function isPart({ body }: Answered, image: TestImage, blob: Digest): boolean {
  return image.blobs.get(blob)?.subarray(10, 100).equals(body) === true;
}

async function answer(
  client: SoakClient,
  repository: SoakRepository,
  rest: string,
  { oracle, disruptions }: PullerOptions,
  headers: Record<string, string> = {},
): Promise<Answered | undefined> {
  const target = `/v2/${repository.path}/${rest}`;
  const { principal } = client;
  try {
    const got = await client.get(repository.path, target, { headers });
    const answered = { ...got, until: performance.now(), principal, repository, target };
    if (answered.status >= 500) disruptions.judgeFailure(target, new Error(`status ${answered.status}`));
    oracle.judge(answered);
    return answered;
  } catch (error) {
    disruptions.judgeFailure(`${principal.subject} ${target}`, error as Error);
    return undefined;
  }
}
