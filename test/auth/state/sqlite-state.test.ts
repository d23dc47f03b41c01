import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openAuthState } from '../../../src/auth/state/sqlite-state.ts';
import { testAuthState } from './auth-state.contract.ts';

const WRITER = path.join(import.meta.dirname, '../../support/fixtures/state-writer.ts');

testAuthState('SQLite', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-auth-state-'));
  const file = path.join(directory, 'auth.db');
  const state = openAuthState(file);
  return {
    state,
    openAgain: async () => openAuthState(file),
    putTokensApart: async (owner, count) => {
      const [code] = await once(fork(WRITER, [file, owner, String(count)]), 'exit');
      return code;
    },
    [Symbol.asyncDispose]: async () => {
      await state[Symbol.asyncDispose]();
      await rm(directory, { recursive: true });
    },
  };
});
