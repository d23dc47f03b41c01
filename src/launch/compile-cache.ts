import { statSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import path from 'node:path';
import { type HomePaths, pathsIn, type Role } from '../config/home.ts';

/**
 * Returns the directory in which a process stores the compiled form of the code that it loads (V8's and that
 * of type stripping). It is below a directory that only this process may write.
 */
export function compileCacheIn(runtime: string): string {
  return path.join(runtime, 'compile-cache');
}

/**
 * Makes a start load what an earlier one has compiled, because half of its cost is compiling. Only the
 * supervisor of the gateways does without: the gateways may write the directory of that user, and they speak
 * with strangers.
 */
export function useCompileCache(home: string, role: Role | undefined): void {
  if (role === 'gateway' || role === 'account') return;
  const runtime = runtimeOf(role, pathsIn(home));
  if (!isOwn(runtime)) return;
  process.umask(0o027);
  enableCompileCache(compileCacheIn(runtime));
}

/**
 * Makes a verb load what the supervisor and earlier verbs have compiled. A verb does not make the directory,
 * because it may be run by another user than the supervisor.
 */
export function reuseCompileCache(home: string): void {
  const runtime = pathsIn(home).supervisorRuntime;
  const stats = statSync(runtime, { throwIfNoEntry: false });
  if (stats === undefined || stats.uid !== process.geteuid?.()) return;
  process.umask(0o027);
  enableCompileCache(compileCacheIn(runtime));
}

/**
 * True if the directory belongs to this user, because its content is run. If another user owns it, the start
 * soon reports that.
 */
function isOwn(runtime: string): boolean {
  const stats = statSync(runtime, { throwIfNoEntry: false });
  return stats === undefined || stats.uid === 0 || stats.uid === process.geteuid?.();
}

function runtimeOf(role: Role | undefined, paths: HomePaths): string {
  return role === undefined ? paths.supervisorRuntime : paths.runtime[role];
}
