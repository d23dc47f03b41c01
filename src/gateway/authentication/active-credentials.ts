import type { Principal } from '../../access/principal.ts';
import { formatSubject, hasDirectoryGroups, type Subject } from '../../access/subject.ts';
import type { Clock } from '../../platform/clock.ts';
import { PeerUnreachable } from '../../platform/ipc/http-client.ts';
import { pollValue } from '../../platform/ipc/long-poll-client.ts';
import type { Logger } from '../../platform/log.ts';
import type { AuthClient } from '../clients/auth-client.ts';
import { isCertificateCredential } from './certificate-credential.ts';
import type { ActiveCredential } from './credential-snapshot.ts';

/**
 * Tells whether a credential is still in force. So a token becomes invalid within a second after the password
 * that it was issued for.
 */
export interface ActiveCredentials extends Disposable {
  /** Resolves to undefined if the credential is not in force, or belongs to another subject. */
  find(identity: Principal): Promise<ActiveCredential | undefined>;
  /**
   * Auth may have revoked any credential since its last answer.
   * @throws PeerUnreachable if that answer is too old
   */
  throwIfStale(): void;
  /** Tells whether the certificate with this `tbsHash` is revoked. */
  isRevoked(certificate: string): boolean;
  /**
   * Returns the groups that a subject has at this moment in its directory, as far as the policy names them.
   */
  readonly groupsOf: DirectoryGroups;
}

export type DirectoryGroups = (subject: Subject) => readonly string[];

const NO_GROUPS: readonly string[] = [];

export async function followActiveCredentials(
  auth: AuthClient,
  log: Logger,
  clock: Clock,
  longestSilence: number,
): Promise<ActiveCredentials> {
  const followed = await pollValue((options) => auth.credentials(options), { name: 'auth', log });
  const known = ({ credential, subject }: Principal): ActiveCredential | undefined => {
    // Auth reports only the revoked certificates, so the credential of any other certificate is in force.
    if (isCertificateCredential(credential))
      return subject.kind === 'cert' && !followed.current.revokedIds.has(credential) ? {} : undefined;
    const found = followed.current.inForce.get(credential);
    const written = formatSubject(subject);
    if (found === undefined || found.until <= clock()) return undefined;
    const fits = found.isPrefix ? written.startsWith(found.subject) : written === found.subject;
    return fits ? found.credential : undefined;
  };
  return {
    async find(identity) {
      const found = known(identity);
      if (found !== undefined) return found;
      // Auth signed the token, so it may know a credential that is newer than its last answer. A request to
      // auth that is already running may be older than the credential too, hence the second try.
      await followed.refresh();
      if (known(identity) === undefined) await followed.refresh();
      return known(identity);
    },
    throwIfStale() {
      if (followed.silentFor <= longestSilence) return;
      const seconds = Math.round(followed.silentFor / 1000);
      throw new PeerUnreachable(
        `auth has not answered for ${seconds} s, and may have withdrawn what is asked with: nothing is served`,
      );
    },
    groupsOf(subject) {
      if (!hasDirectoryGroups(subject)) return NO_GROUPS;
      const person = followed.current.people.get(subject.name);
      return person === undefined || person.until <= clock() ? NO_GROUPS : person.groups;
    },
    isRevoked: (certificate) => followed.current.revoked.has(certificate),
    [Symbol.dispose]: () => followed[Symbol.dispose](),
  };
}
