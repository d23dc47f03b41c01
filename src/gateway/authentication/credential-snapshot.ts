import { compileNarrowing, type Narrowing } from '../../access/token-restriction.ts';
import { CREDENTIAL, CREDENTIALS } from '../../protocol/auth-api.ts';
import { certificateCredential } from './certificate-credential.ts';

/** A snapshot of auth's credentials in the form in which every request looks them up. */
export interface ToldCredentials {
  /** The credentials by their ids. */
  readonly inForce: ReadonlyMap<string, InForce>;
  /** The `tbsHash` of each revoked certificate, and below it their credential ids. */
  readonly revoked: ReadonlySet<string>;
  readonly revokedIds: ReadonlySet<string>;
}

export interface InForce {
  readonly subject: string;
  readonly isPrefix: boolean;
  /** The time in milliseconds since the epoch. */
  readonly until: number;
  readonly credential: CredentialInForce;
}

export interface CredentialInForce {
  readonly narrowing?: Narrowing;
}

/**
 * Parses auth's answer in steps, because the credentials of ten thousand users at once would block the event
 * loop.
 * @throws if the answer is invalid
 */
export function* readingCredentials(body: string): Generator<void, ToldCredentials> {
  const { inForce, revokedCertificates } = CREDENTIALS.parse(JSON.parse(body));
  const credentials = new Map<string, InForce>();
  for (const [id, written] of Object.entries(inForce)) {
    credentials.set(id, readCredential(written));
    yield;
  }
  return {
    inForce: credentials,
    revoked: new Set(revokedCertificates),
    revokedIds: new Set(revokedCertificates.map(certificateCredential)),
  };
}

function readCredential(written: unknown): InForce {
  const {
    subject,
    isPrefix = false,
    until = Number.POSITIVE_INFINITY,
    ...narrowing
  } = CREDENTIAL.parse(written);
  const isNarrowed = narrowing.pull !== undefined || narrowing.from !== undefined;
  return {
    subject,
    isPrefix,
    until,
    credential: isNarrowed ? { narrowing: compileNarrowing(narrowing) } : {},
  };
}
