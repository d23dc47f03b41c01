import { openLdapDirectory } from '../../../auth/identity/directory/ldap.ts';
import { openOidcDirectory } from '../../../auth/identity/directory/oidc.ts';
import type { DirectoryLogin } from '../../../config/login.ts';
import { egressOptions } from '../../../launch/upstream-options.ts';
import { systemClock } from '../../../platform/clock.ts';
import { createLogger } from '../../../platform/log.ts';
import { reasonOf } from '../../../platform/reason.ts';
import { type Check, type Finding, unknown, wrong } from '../checks.ts';
import type { ExaminedServer } from './server.ts';

/** Asks each directory as auth does. It must have a trusted certificate, and say all that a login needs. */
export function loginChecks(server: ExaminedServer): readonly Check[] {
  return server.config.logins.map((login) => ({
    name: `login ${login.name}`,
    look: async () => ({ findings: await examineLogin(login, server) }),
  }));
}

async function examineLogin(login: DirectoryLogin, { config }: ExaminedServer): Promise<readonly Finding[]> {
  const where = `login.${login.name}`;
  const log = createLogger('doctor', { level: 'error', format: 'auto' });
  try {
    if (login.kind === 'ldap') {
      const { people, withGroups } = await openLdapDirectory({ login, clock: systemClock, log }).check();
      if (people === 0)
        return [
          wrong(
            where,
            `finds nobody with the attribute ${login.user} below ${login.people}`,
            'look at people, user and the rights of bindDn',
          ),
        ];
      if (withGroups === 0)
        return [
          unknown(
            where,
            `has nobody with the attribute ${login.groups}, so nobody has groups`,
            'look at groups and the rights of bindDn',
          ),
        ];
      return [];
    }
    await using directory = openOidcDirectory({ login, egress: await egressOptions(config), log });
    const missing = await directory.check();
    return missing.map((what) => unknown(where, `: ${what}`, 'see docs/logins.md'));
  } catch (error) {
    const address = login.kind === 'ldap' ? login.url : login.issuer;
    return [
      wrong(
        where,
        `cannot be used: ${address}: ${reasonOf(error)}`,
        'look at its address, its certificate and the secret; see docs/logins.md',
      ),
    ];
  }
}
