import { rotateSigningKey } from '../auth/token/signing-key-file.ts';
import { pathsIn } from '../config/home.ts';
import { type ExitCode, printLine, type Terminal } from '../launch/terminal.ts';
import { isErrno } from '../platform/reason.ts';

/**
 * Makes auth sign tokens with a new key from now on. Tokens that were issued before stay valid to their end.
 */
export async function rotateKeys({ home }: { readonly home: string }, terminal: Terminal): Promise<ExitCode> {
  const { signingKey } = pathsIn(home);
  try {
    await rotateSigningKey(signingKey);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
    printLine(terminal.stderr, `hubgate: there is no key yet: ${signingKey}; the first start makes it`);
    return 1;
  }
  printLine(terminal.stdout, 'tokens are signed with a new key; those that are out stay good to their end');
  return 0;
}
