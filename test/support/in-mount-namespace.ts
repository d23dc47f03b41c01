import assert from 'node:assert/strict';
import { run } from '../e2e/support/process.ts';

const ENTER = ['--mount', '--propagation', 'private'];

/**
 * Returns why no file system can be mounted here. In CI nothing is skipped, because a suite that never runs
 * is worthless.
 */
export async function whyNoMounts(): Promise<string | false> {
  if (process.env.CI !== undefined) return false;
  const { code } = await run('unshare', [...ENTER, 'mount', '-t', 'tmpfs', 'none', '/mnt']).catch(() => ({
    code: -1,
  }));
  return code !== 0 && 'only root can mount the file systems that this test fills up';
}

/**
 * Runs a file of tests in a mount namespace of its own. When the file ends, however it ends, the kernel
 * unmounts what it has mounted.
 */
export async function testInMountNamespace(file: string): Promise<void> {
  // Without this variable, the file runs its tests as a separate process and prints what failed.
  const command = ['-u', 'NODE_TEST_CONTEXT', 'unshare', ...ENTER, process.execPath, file];
  const { code, output } = await run('env', command);
  assert.equal(code, 0, output);
}
