import { createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { SignJWT } from 'jose';
import { issueCertificate } from '../../../src/pki/certificate.ts';
import { type LocalServer, serveLocally } from '../../support/local-server.ts';

export interface UpstreamAccount {
  readonly username: string;
  readonly password: string;
}

export const ISSUER = 'upstream token service';
export const SERVICE = 'upstream registry';

export interface TokenService extends LocalServer {
  /** The certificate that the registry trusts, as PEM. */
  readonly certificate: string;
}

/**
 * Starts the upstream's own token service, for a real registry. It refuses nobody, and writes into a token
 * what the caller may do. Anonymous may pull public repositories; the account may pull everything, and push,
 * so that the suite can fill it.
 */
export async function startTokenService(
  account: UpstreamAccount,
  isPublic: (repository: string) => boolean,
): Promise<TokenService> {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const certificate = issueCertificate({
    commonName: ISSUER,
    publicKey: createPublicKey(privateKey),
    issuer: { commonName: ISSUER, publicKey, privateKey },
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 86_400_000),
    use: { kind: 'authority' },
  });
  const x5c = [new X509Certificate(certificate).raw.toString('base64')];
  const basic = `Basic ${Buffer.from(`${account.username}:${account.password}`).toString('base64')}`;

  const server = await serveLocally(async (request, response) => {
    const { searchParams } = new URL(request.url ?? '/', 'http://token.invalid');
    const { authorization } = request.headers;
    if (authorization !== undefined && authorization !== basic) return void response.writeHead(401).end('{}');
    const access = searchParams.getAll('scope').flatMap((scope) => {
      const [, name = '', asked = ''] = /^repository:(.+):(.+)$/.exec(scope) ?? [];
      if (authorization === undefined && !isPublic(name)) return [];
      const actions = authorization === undefined ? ['pull'] : asked.split(',');
      return [{ type: 'repository', name, actions }];
    });
    const token = await new SignJWT({ access })
      .setProtectedHeader({ alg: 'ES256', typ: 'JWT', x5c })
      .setIssuer(ISSUER)
      .setAudience(SERVICE)
      .setSubject(authorization === undefined ? '' : account.username)
      .setIssuedAt()
      .setNotBefore('0s')
      .setExpirationTime('300s')
      .setJti(crypto.randomUUID())
      .sign(privateKey);
    response.setHeader('content-type', 'application/json');
    response.end(
      JSON.stringify({ token, access_token: token, expires_in: 300, issued_at: new Date().toISOString() }),
    );
  });
  return { ...server, certificate };
}
