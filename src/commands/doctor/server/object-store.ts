/** The check of the object store of a cluster. It is loaded only if there is one. */
import { createHash, randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { OBJECT_LIMITS } from '../../../cluster/objects/limits.ts';
import { readingKeys } from '../../../cluster/objects/object-keys.ts';
import type { ObjectResult } from '../../../cluster/objects/object-result.ts';
import { ObjectStore } from '../../../cluster/objects/object-store.ts';
import type { ObjectsConfig } from '../../../config/cluster-objects.ts';
import type { Clock } from '../../../platform/clock.ts';
import type { EgressOptions } from '../../../platform/egress/proxy-rules.ts';
import { createLogger } from '../../../platform/log.ts';
import { type Finding, type Looked, wrong } from '../checks.ts';

/**
 * The milliseconds for each request, and those by which the clocks may differ: a store refuses 15 minutes.
 */
const DEADLINE = 10_000;
const CLOCKS = 5 * 60_000;

const WHERE = 'cluster.objects';

/** The advice by the beginning of what the store says. */
const ADVICE: readonly (readonly [RegExp, string])[] = [
  [/cannot be read|is empty/, 'correct cluster.objects.accessKeyFile and secretKeyFile'],
  [
    /answers 403/,
    'correct the keys, and give their account all objects below the prefix, and the list of them',
  ],
  [/answers 404/, 'make the bucket, or correct cluster.objects.bucket'],
  [/answers 30\d|answers 400/, 'correct cluster.objects.endpoint and region'],
];
const OTHER_ADVICE = 'start the store, or correct cluster.objects.endpoint; see the firewall in between';

export async function lookAtObjectStore(
  objects: ObjectsConfig,
  egress: EgressOptions | undefined,
  clock: Clock,
): Promise<Looked> {
  const log = createLogger('doctor', { level: 'error', format: 'auto' });
  const limits = { ...OBJECT_LIMITS, probe: DEADLINE, probeEvery: 60 * DEADLINE };
  await using store = new ObjectStore({ ...objects, egress, keys: readingKeys(objects), limits, log });
  return { findings: await findingsOf(store, objects.prefix, clock) };
}

async function findingsOf(store: ObjectStore, prefix: string, clock: Clock): Promise<readonly Finding[]> {
  const deadline = () => AbortSignal.timeout(DEADLINE);
  const there = await store.probe(deadline());
  if (there.kind !== 'ok') return [unusable('cannot be used', there.detail)];
  const key = `${prefix === '' ? '' : `${prefix}/`}doctor/${randomUUID()}`;
  const sha256 = createHash('sha256').update(key).digest('hex');
  const open = async () => Readable.from([Buffer.from(key)], { objectMode: false });
  const steps: readonly (readonly [string, () => Promise<ObjectResult<unknown>>])[] = [
    ['takes no object', () => store.put(key, { size: key.length, sha256, open }, deadline())],
    ['gives back no object', () => readBack(store, key, deadline())],
    ['lists no objects', () => store.list(key, '', deadline())],
    ['removes no object', () => store.remove(key, deadline())],
  ];
  for (const [what, step] of steps) {
    const answer = await step();
    if (answer.kind !== 'ok') return [unusable(what, answer.detail)];
  }
  const listed = await store.list(key, '', deadline());
  return listed.kind === 'ok' ? judgeClock(listed.value.now - clock()) : [];
}

async function readBack(
  store: ObjectStore,
  key: string,
  signal: AbortSignal,
): Promise<ObjectResult<unknown>> {
  const answer = await store.get(key, 0, signal);
  if (answer.kind !== 'ok') return answer;
  const found = answer.value && (await text(answer.value.body).catch(() => undefined));
  return found === key ? answer : { kind: 'unavailable', detail: 'other bytes come than were put' };
}

function unusable(what: string, detail: string): Finding {
  return wrong(WHERE, `${what}: ${detail}`, ADVICE.find(([said]) => said.test(detail))?.[1] ?? OTHER_ADVICE);
}

function judgeClock(difference: number): readonly Finding[] {
  if (!(Math.abs(difference) > CLOCKS)) return [];
  const minutes = Math.round(Math.abs(difference) / 60_000);
  return [
    wrong(
      'the clock',
      `differs from that of the object store by ${minutes} minutes`,
      'set both by NTP: the store refuses requests whose time is too far from its own',
    ),
  ];
}
