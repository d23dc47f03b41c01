import { parseAmount } from '../platform/windowed-amount.ts';
import type { PartReader } from '../platform/yaml/yaml-schema.ts';
import { canonicalHost, parseUpstreamHost } from '../registry/repository.ts';
import { coversSubject, type GroupMembers } from './covered-subject.ts';
import { LIMIT, parseShare, RESERVE } from './limit-schema.ts';
import type { LimitData, ReserveData } from './policy-data.ts';
import { LIST } from './policy-schema.ts';
import type { YamlPath } from './yaml-fault.ts';

/** The knowledge of the reader of a policy when it comes to the limits. */
export interface LimitContext {
  /** Reads the subjects of a list. */
  subjects(parts: PartReader, texts: readonly string[], path: YamlPath): readonly string[];
  /** Takes an id, or reports that another entry has it. `what` is the kind of entry. */
  takeId(parts: PartReader, path: YamlPath, id: string, what: string): boolean;
  readonly groups: GroupMembers;
}

/** A file of the policy. */
interface LimitFile {
  readonly source: string;
  readonly parts: PartReader;
}

/** The most limits of one policy, because a request to the core names all that apply. */
const MOST_LIMITS = 100;
const MOST_RESERVES = 50;

export function readLimits(files: readonly LimitFile[], context: LimitContext): LimitData[] {
  return readEntries(files, 'limits', MOST_LIMITS, (file, path) => readLimit(file, path, context));
}

export function readReserves(files: readonly LimitFile[], context: LimitContext): ReserveData[] {
  const kept = new Map<string, number>();
  return readEntries(files, 'reserve', MOST_RESERVES, (file, path) => {
    const reserve = readReserve(file, path, context);
    if (reserve === undefined) return undefined;
    const before = kept.get(reserve.upstream) ?? 0;
    const most = percentOf(1 - before);
    kept.set(reserve.upstream, before + reserve.keep);
    if (reserve.keep - (1 - before) < TOLERANCE) return reserve;
    const advice =
      most === '0%' ? 'lower another share, or remove this' : `write at most ${most}, or lower another share`;
    file.parts.fault(
      [...path, 'keep'],
      `all reserves of ${reserve.upstream} together keep ${percentOf(before + reserve.keep)}, which is more than there is; ${advice}`,
    );
    return undefined;
  });
}

/** The sum of decimal fractions is not exact. */
const TOLERANCE = 1e-9;

function percentOf(share: number): string {
  return `${Number((share * 100).toFixed(2))}%`;
}

function readEntries<Entry>(
  files: readonly LimitFile[],
  key: 'limits' | 'reserve',
  most: number,
  read: (file: LimitFile, path: YamlPath) => Entry | undefined,
): Entry[] {
  const entries = files.flatMap((file) => {
    const list = file.parts.read([key], LIST) ?? [];
    return list.map((_, index) => ({ file, path: [key, index] }));
  });
  const surplus = entries[most];
  surplus?.file.parts.fault(surplus.path, `"${key}" has more than ${most} entries; put several into one`);
  return entries.slice(0, most).flatMap(({ file, path }) => read(file, path) ?? []);
}

function readLimit(file: LimitFile, path: YamlPath, context: LimitContext): LimitData | undefined {
  const { parts } = file;
  const limit = parts.read(path, LIMIT);
  if (limit === undefined || !context.takeId(parts, path, limit.id, 'limit')) return undefined;
  const { id, from, upstream, because } = limit;
  const to = context.subjects(parts, limit.to, [...path, 'to']);
  const except = limit.except && context.subjects(parts, limit.except, [...path, 'except']);
  const pulls = parseAmount(limit.pulls ?? '', 'pulls');
  const bytes = parseAmount(limit.bytes ?? '', 'bytes');
  const data: LimitData = {
    ...{ id, ...placeOf(file, path), to, each: limit.each ?? false },
    ...(from && { from }),
    ...(except && { except }),
    ...(upstream && { upstream: hostsOf(parts, upstream, [...path, 'upstream']) }),
    ...(pulls && { pulls }),
    ...(bytes && { bytes }),
    ...(because !== undefined && { because }),
  };
  checkLimit(parts, path, data, context);
  return data;
}

/** Reports a limit that has no effect. */
function checkLimit(
  parts: PartReader,
  path: YamlPath,
  { id, to, except, pulls, bytes }: LimitData,
  { groups }: LimitContext,
): void {
  if (pulls === undefined && bytes === undefined)
    parts.fault(path, `the limit "${id}" limits nothing; add pulls: 40/6h, or bytes: 50GiB/24h`);
  if (except !== undefined && isCovered(to, except, groups))
    parts.fault(
      [...path, 'except'],
      `the limit "${id}" is for nobody, because "except" has everybody whom "to" has; remove "except", or the limit`,
    );
}

function readReserve(file: LimitFile, path: YamlPath, context: LimitContext): ReserveData | undefined {
  const { parts } = file;
  const reserve = parts.read(path, RESERVE);
  if (reserve === undefined || !context.takeId(parts, path, reserve.id, 'reserve')) return undefined;
  const { id, keep, because } = reserve;
  const subjects = context.subjects(parts, reserve.for, [...path, 'for']);
  const [upstream = ''] = hostOf(parts, reserve.upstream, [...path, 'upstream']);
  return {
    id,
    ...placeOf(file, path),
    upstream,
    keep: parseShare(keep) ?? 0,
    for: subjects,
    ...(because !== undefined && { because }),
  };
}

function placeOf({ source, parts }: LimitFile, path: YamlPath) {
  const { line = 0, column } = parts.yaml.faultAt(path, '');
  return { source, line, ...(column !== undefined && { column }) };
}

/** True if every subject of `to` is one of `except`, so that nobody remains. */
function isCovered(to: readonly string[], except: readonly string[], groups: GroupMembers): boolean {
  return to.length > 0 && to.every((who) => coversSubject(except, who, groups));
}

/** Hosts that people take for the name of Docker Hub. */
const HUB_WORDS: ReadonlySet<string> = new Set([
  'hub',
  'dockerhub',
  'docker-hub',
  'docker',
  'hub.docker.com',
  'docker.com',
]);

function hostsOf(parts: PartReader, texts: readonly string[], path: YamlPath): readonly string[] {
  return texts.flatMap((text, index) => hostOf(parts, text, [...path, index]));
}

function hostOf(parts: PartReader, text: string, path: YamlPath): string[] {
  const wrong = whyNoHost(text);
  if (wrong === undefined) return [text];
  parts.fault(path, wrong);
  return [];
}

function whyNoHost(text: string): string | undefined {
  const plain = text
    .replace(/^[a-z+]{2,10}:\/\//i, '')
    .replace(/\/.*$/, '')
    .toLowerCase();
  if (HUB_WORDS.has(plain)) return `"${text}" is no name of an upstream; write docker.io`;
  const host = parseUpstreamHost(plain);
  if (host === undefined)
    return `"${text}" is no host; write the host of an upstream in full, such as docker.io`;
  const canonical = canonicalHost(host);
  if (canonical !== plain) return `"${text}" is another name of ${canonical}; write ${canonical}`;
  return plain === text ? undefined : `"${text}" is no host; write ${plain}`;
}
