import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { pathsIn } from '../../src/config/home.ts';
import { environmentOf } from '../../src/launch/role-environment.ts';
import { nextMessage } from '../support/next-message.ts';

const MIB = 2 ** 20;
const LINUX_ONLY = { skip: process.platform !== 'linux' && 'there is no /proc to look into' };

test('auth gives back the memory that hashing took', LINUX_ONLY, async () => {
  const hasher = path.join(import.meta.dirname, '../support/fixtures/hasher.ts');
  const { NODE_COMPILE_CACHE: _, ...env } = environmentOf('auth', pathsIn('/nowhere'));
  const child = fork(hasher, { env });
  const [before, after] = await nextMessage<[number, number]>(child);
  // One hash takes 19 MiB, and four threads make them.
  assert.ok(after - before < 10 * MIB, `${Math.round((after - before) / MIB)} MiB more`);
});
