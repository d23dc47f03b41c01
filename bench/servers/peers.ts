/** Finds the programs of peers: Debian's on the path, and others in `PEERS_DIR`. */
import { access, constants } from 'node:fs/promises';
import path from 'node:path';
import { onPath } from './ready.ts';

/** Returns undefined if `PEERS_DIR` is not set. */
export function inPeers(program: string): string | undefined {
  const directory = process.env.PEERS_DIR;
  return directory === undefined ? undefined : path.join(directory, program);
}

/** Returns why a program cannot be started; undefined if it can. */
export async function missingProgram(program: string | undefined): Promise<string | undefined> {
  if (program === undefined) return 'PEERS_DIR is not set';
  const isThere = program.includes('/')
    ? await access(program, constants.X_OK).then(
        () => true,
        () => false,
      )
    : await onPath(program);
  return isThere ? undefined : `there is no ${program}`;
}
