import path from 'node:path';
import type { Config } from '../../config/config.ts';
import { filesOfLogins } from '../../config/login.ts';
import { isObject } from '../../platform/object-properties.ts';
import type { LeftOut } from './backup-manifest.ts';

interface NamedFile {
  /** The key of hubgate.yaml, or one like it. */
  readonly key: string;
  /** An absolute path. */
  readonly file: string;
}

/** The keys of a configuration whose values are paths. */
const NAMES_A_PATH = /^(?:\w*File|directory|certificate|key|ca|clientCa|audit)$/;
/** The parts of a loaded configuration that hubgate.yaml does not have. */
const NOT_WRITTEN: ReadonlySet<string> = new Set(['credential', 'login']);

/** Returns the files and directories that the configuration names. */
function namedFiles({ logins, ...config }: Config): NamedFile[] {
  const others = [...textsIn(config, [])]
    .filter(({ keys, text }) => NAMES_A_PATH.test(keys.at(-1) ?? '') && path.isAbsolute(text))
    .map(({ keys, text }) => ({ key: keys.filter((key) => !NOT_WRITTEN.has(key)).join('.'), file: text }));
  return [...others, ...filesOfLogins(logins).map(({ path: keys, file }) => ({ key: keys.join('.'), file }))];
}

interface PlacedText {
  readonly keys: readonly string[];
  readonly text: string;
}

function* textsIn(value: unknown, keys: readonly string[]): Generator<PlacedText> {
  if (typeof value === 'string') yield { keys, text: value };
  if (typeof value !== 'object' || value === null) return;
  for (const [key, below] of Object.entries(value))
    yield* textsIn(below, [...keys, (Array.isArray(value) ? nameOf(below) : undefined) ?? key]);
}

/** Lists of the configuration have entries with a host or a name. */
function nameOf(entry: unknown): string | undefined {
  if (!isObject(entry)) return undefined;
  return [entry.host, entry.name].find((name) => typeof name === 'string');
}

interface Sorted {
  /** The paths below the home of files that no other part of the backup has. */
  readonly besides: readonly string[];
  readonly leftOut: readonly LeftOut[];
}

/**
 * Decides which of the named files are copied. `parts` are the directories of the home that are copied whole.
 */
export function sortNamedFiles(config: Config, home: string, parts: readonly string[]): Sorted {
  const besides = new Set<string>();
  const leftOut: LeftOut[] = [];
  for (const { key, file } of namedFiles(config)) {
    const below = path.relative(home, file);
    const isInHome = !below.startsWith('..');
    if (key === 'cache.directory') leftOut.push({ what: file, why: 'the cache, which fills again' });
    else if (key === 'log.audit')
      leftOut.push({ what: file, why: 'the audit log; copy it and its rotated files yourself' });
    else if (key === 'hosted.directory' || parts.some((part) => below.startsWith(`${part}/`))) continue;
    else if (isInHome) besides.add(below);
    else leftOut.push({ what: file, why: `${key} names it, and it is outside of the home` });
  }
  return { besides: [...besides], leftOut };
}
