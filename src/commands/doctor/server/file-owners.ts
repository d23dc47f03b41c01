import { inHome } from '../../../config/home.ts';
import { examineFiles } from '../../../launch/home-files.ts';
import { type Looked, wrong } from '../checks.ts';
import type { Server } from './server.ts';

/**
 * Checks whether this user can run a mirror here, and whether nobody else can change the files that it relies
 * on.
 */
export async function fileOwners({ config, paths }: Server): Promise<Looked> {
  const faults = await examineFiles(config, paths, { role: undefined, isStart: false });
  return {
    findings: faults.map(({ source, message }) => {
      const [what = '', ...mend] = message.split('; ');
      return wrong(inHome(source, paths), what, mend.join('; '));
    }),
  };
}
