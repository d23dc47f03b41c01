import { inHome } from '../../../config/home.ts';
import { examineFiles } from '../../../launch/home-files.ts';
import { type Looked, wrong } from '../checks.ts';
import type { ExaminedServer } from './server.ts';

/**
 * Checks whether this user can run a mirror here, and whether nobody else can change the files that it relies
 * on.
 */
export async function fileOwners({ config, paths }: ExaminedServer): Promise<Looked> {
  const faults = await examineFiles(config, paths, { role: undefined, isStart: false });
  return {
    findings: faults.map(({ source, message }) => {
      const [what = '', ...mend] = message.split('; ');
      return wrong(inHome(source, paths), what, mend.join('; '));
    }),
  };
}
