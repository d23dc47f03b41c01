import { statSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import path from 'node:path';
import { type HomePaths, pathsIn, type Role } from './home.ts';

/** Where a process keeps what V8 and type stripping have made of the code that it loads, below what it alone may write. */
export function compileCacheIn(runtime: string): string {
  return path.join(runtime, 'compile-cache');
}

/**
 * Has a start load what an earlier one has compiled, for half of what it costs is compiling. The supervisor of the gateways
 * alone does without: the directory of that user is the gateways' to write, and they speak with strangers.
 */
export function useCompileCache(home: string, role: Role | undefined): void {
  if (role === 'gateway') return;
  const runtime = runtimeOf(role, pathsIn(home));
  if (!isOwn(runtime)) return;
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
