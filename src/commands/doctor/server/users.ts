import { readUsers } from '../../../auth/identity/users-file.ts';
import { inHome } from '../../../config/home.ts';
import { formatFault } from '../../../platform/fault.ts';
import { type Looked, wrong } from '../checks.ts';
import type { ExaminedServer } from './server.ts';

/**
 * Checks whether the users file can be read. While it cannot, a running mirror keeps the users that it read
 * last.
 */
export async function users({ paths }: ExaminedServer): Promise<Looked> {
  const read = await readUsers(paths.users);
  if ('value' in read) return { findings: [] };
  const faults = read.faults.map((fault) => formatFault({ ...fault, source: inHome(fault.source, paths) }));
  return {
    findings: [
      wrong(inHome(paths.users, paths), `is refused: ${faults.join('; ')}`, 'mend it (hubgate check)'),
    ],
  };
}
