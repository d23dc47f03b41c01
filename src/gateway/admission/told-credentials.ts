import { compileNarrowing, type Narrowing } from '../../access/narrowing.ts';
import { CREDENTIAL, CREDENTIALS } from '../../registry/auth-api.ts';
import { certificateCredential } from './certificate-credential.ts';

/** What auth said of credentials, as it is looked up at every request. */
export interface ToldCredentials {
  /** By their ids. */
  readonly inForce: ReadonlyMap<string, InForce>;
  /** Certificates, by their `tbsHash`; and the ids of what they were. */
  readonly revoked: ReadonlySet<string>;
  readonly revokedIds: ReadonlySet<string>;
}

export interface InForce {
  readonly subject: string;
  readonly isPrefix: boolean;
  /** Milliseconds. */
  readonly until: number;
  readonly credential: CredentialInForce;
}

export interface CredentialInForce {
  readonly narrowing?: Narrowing;
}

/**
 * Reads what auth answers, in steps: those of ten thousand users at once would hold up everybody.
 *
 * @throws where it is none
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
