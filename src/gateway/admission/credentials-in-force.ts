import { compileNarrowing, type Narrowing } from '../../access/narrowing.ts';
import { type Subject, writeSubject } from '../../access/subject.ts';
import type { Clock } from '../../platform/clock.ts';
import { follow } from '../../platform/follow.ts';
import type { Logger } from '../../platform/log.ts';
import type { Credentials } from '../../registry/auth-api.ts';
import type { AuthClient } from './auth-client.ts';
import { certificateCredential, isCertificateCredential } from './certificate-credential.ts';

/** Is a credential still in force? So a token dies with the password that it was issued for, within a second. */
export interface LiveCredentials extends Disposable {
  /** Undefined: it is not, or it is not that subject's. */
  find(identity: ShownIdentity): Promise<CredentialInForce | undefined>;
  /** Is a certificate revoked? By its `tbsHash`. */
  isRevoked(certificate: string): boolean;
}

/** Who somebody claims to be, and the id of what proved it. */
export interface ShownIdentity {
  readonly subject: Subject;
  readonly credential: string;
}

export interface CredentialInForce {
  readonly narrowing?: Narrowing;
}

interface InForce {
  readonly subject: string;
  readonly isPrefix: boolean;
  /** Milliseconds. */
  readonly until: number;
  readonly credential: CredentialInForce;
}

export async function followCredentials(
  auth: AuthClient,
  log: Logger,
  clock: Clock,
): Promise<LiveCredentials> {
  const followed = await follow(
    async (options) => {
      const answer = await auth.credentials(options);
      return answer && { etag: answer.etag, value: compile(answer.value) };
    },
    { name: 'auth', log },
  );
  const known = ({ credential, subject }: ShownIdentity): CredentialInForce | undefined => {
    // A token that was issued for a certificate: of these only the revoked ones are known here.
    if (isCertificateCredential(credential))
      return subject.kind === 'cert' && !followed.current.revokedIds.has(credential) ? {} : undefined;
    const found = followed.current.inForce.get(credential);
    const written = writeSubject(subject);
    if (found === undefined || found.until <= clock()) return undefined;
    const fits = found.isPrefix ? written.startsWith(found.subject) : written === found.subject;
    return fits ? found.credential : undefined;
  };
  return {
    async find(identity) {
      const found = known(identity);
      if (found !== undefined) return found;
      // Auth signed the token, so it may know of a credential that is younger than what it said last; and what it is
      // just being asked may have been asked before that one was made.
      await followed.refresh();
      if (known(identity) === undefined) await followed.refresh();
      return known(identity);
    },
    isRevoked: (certificate) => followed.current.revoked.has(certificate),
    [Symbol.dispose]: () => followed[Symbol.dispose](),
  };
}

function compile({ inForce, revokedCertificates }: Credentials) {
  const entries = Object.entries(inForce).map(
    ([id, { subject, isPrefix = false, until = Number.POSITIVE_INFINITY, ...narrowing }]) => {
      const isNarrowed = narrowing.pull !== undefined || narrowing.from !== undefined;
      const credential: CredentialInForce = isNarrowed ? { narrowing: compileNarrowing(narrowing) } : {};
      return [id, { subject, isPrefix, until, credential } satisfies InForce] as const;
    },
  );
  return {
    inForce: new Map<string, InForce>(entries),
    revoked: new Set(revokedCertificates),
    revokedIds: new Set(revokedCertificates.map(certificateCredential)),
  };
}
