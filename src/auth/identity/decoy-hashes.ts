import { createHmac } from 'node:crypto';
import { costOf, decoyOf } from './password.ts';
import type { Users } from './users-file.ts';

/**
 * Returns a hash for a name without one. It matches no password, and costs as much as the hash of some user.
 */
export type DecoyFor = (name: string, users: Users) => string;

/**
 * Creates decoys. Verifying a decoy takes as long as verifying a hash. Imported hashes have other costs than
 * our own, so unknown names are spread over the existing costs, and each name always has the same one. So the
 * cost of a name does not tell whether it is known. `example` is a new hash; `key` hides which name has which
 * cost.
 */
export function createDecoyHashes(example: string, key: Buffer): DecoyFor {
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
