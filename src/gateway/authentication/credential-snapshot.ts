import { compileTokenRestriction, type TokenRestriction } from '../../access/token-restriction.ts';
import { CREDENTIAL, CREDENTIALS, PERSON_GROUPS, type PersonGroups } from '../../protocol/auth-api.ts';
import { certificateCredential } from './certificate-credential.ts';

/** A snapshot of auth's credentials in the form in which every request looks them up. */
export interface CredentialSnapshot {
  /** The credentials by their ids. */
  readonly inForce: ReadonlyMap<string, ActiveEntry>;
  /** The `tbsHash` of each revoked certificate, and below it their credential ids. */
  readonly revoked: ReadonlySet<string>;
  readonly revokedIds: ReadonlySet<string>;
  /** The groups of people of directories by the people's names, as far as the policy names them. */
  readonly people: ReadonlyMap<string, PersonGroups>;
}

export interface ActiveEntry {
  readonly subject: string;
  readonly isPrefix: boolean;
  /** The time in milliseconds since the epoch. */
  readonly until: number;
  readonly credential: ActiveCredential;
}

export interface ActiveCredential {
  readonly restriction?: TokenRestriction;
}

/**
 * Parses auth's answer in steps, because the credentials of ten thousand users at once would block the event
 * loop.
 * @throws if the answer is invalid
 */
export function* parsingCredentials(body: string): Generator<void, CredentialSnapshot> {
  const { inForce, revokedCertificates, people: written = [] } = CREDENTIALS.parse(JSON.parse(body));
  const credentials = new Map<string, ActiveEntry>();
  for (const [id, one] of Object.entries(inForce)) {
    credentials.set(id, parseCredential(one));
    yield;
  }
  const people = new Map<string, PersonGroups>();
  for (const one of written) {
    const person = PERSON_GROUPS.parse(one);
    people.set(person.name, person);
    yield;
  }
  return {
    people,
    inForce: credentials,
    revoked: new Set(revokedCertificates),
    revokedIds: new Set(revokedCertificates.map(certificateCredential)),
  };
}

function parseCredential(written: unknown): ActiveEntry {
  const {
    subject,
    isPrefix = false,
    until = Number.POSITIVE_INFINITY,
    ...restriction
  } = CREDENTIAL.parse(written);
  const isRestricted = Object.values(restriction).some((list) => list !== undefined);
  return {
    subject,
    isPrefix,
    until,
    credential: isRestricted ? { restriction: compileTokenRestriction(restriction) } : {},
  };
}
