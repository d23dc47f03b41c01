import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:http';
import path from 'node:path';
import type {
  ProviderMessage,
  ProviderOptions,
  ProviderReply,
  Silence,
} from './fixtures/identity-provider.ts';
import { nextMessage } from './next-message.ts';

const FIXTURE = path.join(import.meta.dirname, 'fixtures/identity-provider.ts');
const LOGOUT_EVENT = 'http://schemas.openid.net/event/backchannel-logout';

/** npm's `oidc-provider` in a process of its own, with a client `hubgate` and one that has a secret. */
export class IdentityProvider implements AsyncDisposable {
  readonly issuer: string;
  readonly #process: ChildProcess;
  #asked: Promise<unknown> = Promise.resolve();

  /** `redirects` are the addresses to which the provider may lead a browser back. */
  static start(...redirects: string[]): Promise<IdentityProvider> {
    return IdentityProvider.startWith({ redirects });
  }

  static async startWith(options: ProviderOptions): Promise<IdentityProvider> {
    const child = fork(FIXTURE, [JSON.stringify(options)], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
    const { issuer } = await nextMessage<{ issuer: string }>(child);
    return new IdentityProvider(child, issuer);
  }

  private constructor(child: ChildProcess, issuer: string) {
    this.#process = child;
    this.issuer = issuer;
  }

  /** Creates or changes a person. */
  async setPerson(sub: string, claims: Readonly<Record<string, unknown>>): Promise<void> {
    await this.#tell({ kind: 'person', person: { sub, claims } });
  }

  /** Creates people who have logged in. Returns their refresh tokens. */
  async setMany(subs: readonly string[]): Promise<readonly string[]> {
    const { refreshTokens } = await this.#tell({ kind: 'many', subs });
    return refreshTokens ?? assert.fail('the provider has made nobody');
  }

  async remove(sub: string): Promise<void> {
    await this.#tell({ kind: 'remove', sub });
  }

  /** Decides who logs in next, without a page. */
  async logsIn(sub: string): Promise<void> {
    await this.#tell({ kind: 'login', sub });
  }

  async asksWhoItIs(): Promise<void> {
    await this.#tell({ kind: 'login', sub: '' });
  }

  async revoke(sub: string): Promise<void> {
    await this.#tell({ kind: 'revoke', sub });
  }

  async silence(silence: Silence): Promise<void> {
    await this.#tell({ kind: 'silence', silence });
  }

  async refreshes(): Promise<ProviderReply['refreshes']> {
    return (await this.#tell({ kind: 'count' })).refreshes;
  }

  /** Returns a logout token with these claims; `undefined` leaves out what every token has. */
  async logoutToken(claims: Readonly<Record<string, unknown>>, isForged = false): Promise<string> {
    const now = Math.floor(Date.now() / 1000);
    const usual = {
      ...{ iss: this.issuer, aud: 'hubgate', iat: now, exp: now + 120, jti: crypto.randomUUID() },
      events: { [LOGOUT_EVENT]: {} },
    };
    const { token = '' } = await this.#tell({ kind: 'sign', claims: { ...usual, ...claims }, isForged });
    return token;
  }

  /** Follows the provider's redirects as a browser does, until one leads to another host. */
  async browse(location: string): Promise<URL> {
    const cookies = new Map<string, string>();
    let url = new URL(location);
    for (let step = 0; step < 10; step++) {
      const cookie = [...cookies].map((pair) => pair.join('=')).join('; ');
      const [response] = await once(request(url, { headers: { cookie } }).end(), 'response');
      response.resume();
      for (const text of response.headers['set-cookie'] ?? []) {
        const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(text) ?? [];
        cookies.set(name, value);
      }
      assert.ok(response.headers.location, `${url.pathname} answers ${response.statusCode}`);
      url = new URL(response.headers.location, url);
      if (url.origin !== this.issuer) return url;
    }
    return assert.fail('the provider leads nowhere');
  }

  /** Tells the provider one thing after the other, so that each answer is that to its message. */
  #tell(message: ProviderMessage): Promise<ProviderReply> {
    const told = this.#asked.then(async () => {
      const answered = nextMessage<ProviderReply>(this.#process);
      this.#process.send(message);
      return answered;
    });
    this.#asked = told.catch(() => {});
    return told;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#process, 'exit');
    this.#process.disconnect();
    await ended;
  }
}
