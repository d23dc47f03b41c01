/**
 * A stand-in for an OpenID issuer such as GitHub's or a Kubernetes cluster's: discovery, keys that rotate,
 * and JWTs that it signs. Tests read its requests, and inject faults.
 */
import type { ServerResponse } from 'node:http';
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import type { Federation } from '../../src/config/federation.ts';
import { parseTemplate } from '../../src/config/subject-template.ts';
import { type LocalServer, serveLocally } from './local-server.ts';

export type IssuerFault =
  | 'hang'
  | 'huge'
  | 'redirect'
  | 'status 500'
  | 'no JSON'
  | 'other issuer'
  | 'keys without TLS';

export interface IssuerKey {
  readonly privateKey: CryptoKey;
  /** The public half of the key. */
  readonly jwk: JWK;
}

/** The claims of a JWT, including ones that none should have. */
export type Claims = Readonly<Record<string, unknown>>;

const DISCOVERY = '/.well-known/openid-configuration';
const KEYS = '/keys';

export class FakeIssuer implements AsyncDisposable {
  /** The paths of the requests. */
  readonly asked: string[] = [];
  /** The keys that `/keys` publishes. */
  readonly keys: JWK[] = [];
  readonly #faults = new Map<string, IssuerFault>();
  #server!: LocalServer;
  #signing!: IssuerKey;

  static async start(): Promise<FakeIssuer> {
    const issuer = new FakeIssuer();
    issuer.#server = await serveLocally(({ url = '' }, response) => issuer.#answer(url, response));
    await issuer.rotate('k1');
    return issuer;
  }

  get url(): string {
    return this.#server.url.origin;
  }

  /** Returns a federation with this issuer, as the configuration would contain it. */
  federation(name: string, subject: string, audience = 'mirror.corp'): Federation {
    const read = parseTemplate(subject);
    if ('wrong' in read) throw new Error(read.wrong);
    return { name, issuer: this.url, audience, subject: read.template };
  }

  /** Makes it sign with another key from now on, and publish that too. */
  async rotate(kid: string, alg = 'RS256'): Promise<IssuerKey> {
    this.#signing = await makeKey(kid, alg);
    this.keys.push(this.#signing.jwk);
    return this.#signing;
  }

  /**
   * Signs a JWT for `mirror.corp` that is valid now, with these claims. A claim that is undefined is left
   * out.
   */
  sign(claims: Claims, header: Claims = {}, { privateKey, jwk }: IssuerKey = this.#signing): Promise<string> {
    const now = Math.floor(Date.now() / 1000);
    const times = { iat: now, nbf: now, exp: now + 600 };
    return new SignJWT({ iss: this.url, aud: 'mirror.corp', ...times, ...claims })
      .setProtectedHeader({ alg: jwk.alg ?? '', typ: 'JWT', ...(jwk.kid && { kid: jwk.kid }), ...header })
      .sign(privateKey);
  }

  /** Injects a fault into the answers for its discovery document, or for its keys. */
  plant(fault: IssuerFault, on: 'discovery' | 'keys' = 'discovery'): void {
    this.#faults.set(on === 'discovery' ? DISCOVERY : KEYS, fault);
  }

  heal(): void {
    this.#faults.clear();
  }

  stop(): Promise<void> {
    return this.#server.stop();
  }

  #answer(path: string, response: ServerResponse): void {
    this.asked.push(path);
    const fault = this.#faults.get(path);
    const discovery = { issuer: this.url, jwks_uri: `${this.url}${KEYS}` };
    const body = path === DISCOVERY || path === '/moved' ? discovery : { keys: this.keys };
    switch (fault) {
      case 'hang':
        return;
      case 'redirect':
        response.writeHead(302, { location: path === DISCOVERY ? '/moved' : '/moved-keys' }).end();
        return;
      case 'status 500':
        // The body would be valid if the status did not matter.
        response.writeHead(500).end(JSON.stringify(body));
        return;
      case 'no JSON':
        response.end('<html>');
        return;
      case 'huge':
        response.end(JSON.stringify({ ...body, padding: 'x'.repeat(300 * 1024) }));
        return;
      case 'other issuer':
        response.end(JSON.stringify({ ...body, issuer: 'https://other.example' }));
        return;
      case 'keys without TLS':
        response.end(JSON.stringify({ ...body, jwks_uri: 'http://keys.example/keys' }));
        return;
      case undefined:
        response.end(JSON.stringify(body));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

export async function makeKey(kid: string, alg = 'RS256'): Promise<IssuerKey> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  return { privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } };
}
