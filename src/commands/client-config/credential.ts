import { recordCertificate, revokeCertificates } from '../../auth/admin/certificates.ts';
import { createServiceToken, revokeServiceToken, type TokenOwner } from '../../auth/admin/tokens.ts';
import type { UserStores } from '../../auth/admin/users.ts';
import type { HomePaths } from '../../config/home.ts';
import { issueClientCertificate } from '../../pki/client-certificate.ts';
import { systemClock } from '../../platform/clock.ts';
import type { Content, CredentialKind } from './kit.ts';

/** The defaults of `hubgate cert issue` and `hubgate token create`. */
const DAYS = 365;
const DAY = 24 * 60 * 60 * 1000;
const TOKEN_LIFETIME = 90 * DAY;

export interface IssuedCredential {
  readonly kind: CredentialKind;
  /** The id by which it can be revoked; null if nothing was issued. */
  readonly id: string | null;
  readonly expires: string | null;
  readonly fill: (content: Content) => string;
  /** Revokes the credential. It is for a credential that nobody can have received. */
  readonly withdraw: () => Promise<void>;
}

/** The place where a credential is issued and recorded. */
export interface CredentialPlace {
  readonly paths: HomePaths;
  readonly stores: UserStores;
  /** The longest life of a token in milliseconds. */
  readonly longestToken: number;
}

/**
 * Issues what a kit needs. The credential is recorded before it is written anywhere, so that it can be
 * revoked.
 */
export async function issueCredential(
  kind: CredentialKind,
  owner: TokenOwner,
  { paths, stores, longestToken }: CredentialPlace,
): Promise<IssuedCredential> {
  if (kind === 'certificate') return issueCertificate(owner.name, paths, stores);
  return kind === 'token' ? issueToken(owner, stores, longestToken) : NOTHING;
}

const NOTHING: IssuedCredential = {
  ...{ kind: 'none', id: null, expires: null },
  fill: (content) => fillIn(content, {}),
  withdraw: async () => {},
};

async function issueCertificate(
  name: string,
  paths: HomePaths,
  stores: UserStores,
): Promise<IssuedCredential> {
  const asked = { ca: paths.ca, name, days: DAYS, clock: systemClock };
  const { certificate, key } = await issueClientCertificate(asked);
  const id = await recordCertificate(stores, certificate, name, systemClock());
  return {
    kind: 'certificate',
    id,
    expires: certificate.validToDate.toISOString(),
    fill: (content) => fillIn(content, { certificate: certificate.toString(), key }),
    async withdraw() {
      await revokeCertificates(stores, id, async () => undefined, systemClock());
    },
  };
}

async function issueToken(owner: TokenOwner, stores: UserStores, longest: number): Promise<IssuedCredential> {
  const terms = { lifetime: Math.min(TOKEN_LIFETIME, longest), pull: null, from: null };
  const { id, token, expiresAt } = await createServiceToken(stores, owner, terms);
  return {
    ...{ kind: 'token', id, expires: new Date(expiresAt).toISOString() },
    fill: (content) => fillIn(content, { token }),
    async withdraw() {
      await revokeServiceToken(stores, id);
    },
  };
}

interface CredentialParts {
  readonly certificate?: string;
  readonly key?: string | undefined;
  readonly token?: string;
}

/** @throws if a kit uses another credential than the one that it declared */
function fillIn(content: Content, parts: CredentialParts): string {
  if ('text' in content) return content.text;
  const { certificate, key } = parts;
  if ('withPair' in content && certificate !== undefined && key !== undefined)
    return content.withPair({ certificate, key });
  const part = 'withPair' in content ? undefined : parts['of' in content ? content.of : 'token'];
  if (part === undefined) throw new Error('a file of this kit wants a credential that was not issued');
  return 'withToken' in content ? content.withToken(part) : part;
}
