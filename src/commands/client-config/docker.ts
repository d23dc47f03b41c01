import { caFile, trustStoreLines } from './certificate-files.ts';
import { dockerAuth, explicitName } from './docker-auth.ts';
import {
  accountCredential,
  accountSubject,
  type ClientKit,
  explicitAuditLine,
  type KitAccount,
  type KitRequest,
  type Notes,
} from './kit.ts';

/** Makes the kit for the docker CLI: a login for names that begin with the mirror's name. */
export function dockerKit({ mirror, name }: KitRequest, account: KitAccount): ClientKit {
  const notes: Notes = {
    merge: mergeLines(account),
    reload: ['nothing'],
    check: [
      ...(account === 'person' ? [`docker login ${mirror.host} -u ${name}   prints Login Succeeded`] : []),
      `docker pull ${explicitName(mirror)}   or ${mirror.host}/library/alpine, ${mirror.host}/alpine`,
      explicitAuditLine(accountSubject(name, account)),
    ],
    notReached: [
      'docker pull alpine, without the mirror’s name: docker never sends this login to a mirror. For that, give the machine a',
      'certificate: hubgate client-config dockerd --for NODE',
    ],
    fallback: ['The pull fails. Nothing else is asked for a name that begins with the mirror’s.'],
  };
  const files = [...loginFiles({ mirror, name }, account), ...caFile(mirror, certsOf(mirror))];
  return { credential: accountCredential(account), subject: accountSubject(name, account), files, notes };
}

/**
 * Makes the kit for crane. It reads docker's `config.json`, but knows neither mirrors nor directories of
 * certificates.
 */
export function craneKit({ mirror, name }: KitRequest, account: KitAccount): ClientKit {
  const ca = `${certsOf(mirror)}/ca.crt`;
  return {
    credential: accountCredential(account),
    subject: accountSubject(name, account),
    files: [...loginFiles({ mirror, name }, account), ...caFile(mirror, certsOf(mirror))],
    notes: {
      merge: mergeLines(account),
      reload:
        mirror.ca === undefined
          ? ['nothing']
          : ['Put the CA into the machine’s trust store, or into SSL_CERT_FILE:', ...trustStoreLines(ca)],
      check: [
        ...(account === 'person'
          ? [`crane auth login ${mirror.host} -u ${name} --password-stdin   prints logged in`]
          : []),
        `crane digest ${explicitName(mirror)}   prints sha256:…`,
        explicitAuditLine(accountSubject(name, account)),
      ],
      notReached: ['Names without the mirror’s: crane knows no mirrors, and asks the registry itself.'],
      fallback: ['The pull fails. Nothing else is asked for a name that begins with the mirror’s.'],
    },
  };
}

function certsOf({ host }: KitRequest['mirror']): string {
  return `/etc/docker/certs.d/${host}`;
}

function loginFiles(
  { mirror, name }: Pick<KitRequest, 'mirror' | 'name'>,
  account: KitAccount,
): ClientKit['files'] {
  if (account === 'person') return [];
  const withToken = (token: string) => `${dockerAuth(mirror, name, token)}\n`;
  return [{ path: 'config.json', mode: 0o600, content: { withToken } }];
}

function mergeLines(account: KitAccount): string[] {
  return account === 'person'
    ? []
    : [
        'config.json goes to ~/.docker/, or where DOCKER_CONFIG says; where one is there, add the entry of "auths" to it.',
      ];
}
