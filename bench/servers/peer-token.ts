import { ask } from '../../test/support/http.ts';
import { ACCOUNT } from '../../test/support/test-core.ts';
import { basic } from '../../test/support/test-hubgate.ts';
import { REPOSITORY, scopeOf } from '../content.ts';

/**
 * Returns a token for a registry with token authentication. The bench's own service issues it, signed with
 * its key.
 */
export async function tokenOf(url: URL, repository = REPOSITORY): Promise<string> {
  const { username, password } = ACCOUNT;
  const { body } = await ask({
    host: url.hostname,
    port: url.port,
    path: `/token?service=x&scope=${scopeOf(repository)}`,
    headers: { authorization: basic(username, password) },
  });
  return `Bearer ${JSON.parse(body.toString()).token}`;
}
