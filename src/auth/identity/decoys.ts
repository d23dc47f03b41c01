import { createHmac } from 'node:crypto';
import { costOf, decoyOf } from './password.ts';
import type { Users } from './users-file.ts';

/** For a name without a hash: one that nothing fits, and that costs as much as somebody's. */
export type DecoyFor = (name: string, users: Users) => string;

/**
 * Verifying a decoy takes as long as verifying a hash. Imported hashes cost other than our own, so unknown names are spread
 * over the costs that there are, each name always the same one: what a name costs tells nothing of whether it is known.
 * `example` is a hash as new ones are; `key` hides which name costs what.
 */
export function createDecoys(example: string, key: Buffer): DecoyFor {
  const decoys = new Map([[costOf(example), decoyOf(example)]]);
  let last: { readonly of: Users; readonly hashes: readonly string[] } | undefined;
  const hashesOf = (users: Users): readonly string[] => {
    if (last?.of === users) return last.hashes;
    const real = [...users.values()].flatMap(({ passwordHash }) => passwordHash ?? []);
    last = { of: users, hashes: real.length === 0 ? [example] : real };
    return last.hashes;
  };
  return (name, users) => {
    const hashes = hashesOf(users);
    const place = createHmac('sha256', key).update(name).digest().readUInt32BE();
    const like = hashes[place % hashes.length] ?? example;
    const known = decoys.get(costOf(like));
    if (known !== undefined) return known;
    const decoy = decoyOf(like);
    decoys.set(costOf(like), decoy);
    return decoy;
  };
}
