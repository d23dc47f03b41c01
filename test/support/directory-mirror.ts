import assert from 'node:assert/strict';
import { Browser, type ShownPage } from './browser.ts';
import { freePort } from './free-port.ts';
import { IdentityProvider } from './identity-provider.ts';
import { imageOf } from './image.ts';
import type { TestHubgate, TestHubgateOptions } from './test-hubgate.ts';
import { withMirror } from './with-mirror.ts';

/** A private image that only the group `payments` of the provider may pull. */
export const PAY = '/v2/acme/pay/manifests/latest';

/**
 * A mirror with its account page, and an identity provider in a process of its own at which people log in.
 */
export class DirectoryMirror {
  readonly provider: IdentityProvider;
  readonly hubgate: TestHubgate;
  /** What people type into a browser, without a path. */
  readonly origin: string;

  static async start(
    scope: { after(stop: () => Promise<void>): void },
    options: Partial<TestHubgateOptions> = {},
    times: { readonly confirm?: string; readonly offline?: string } = {},
  ): Promise<DirectoryMirror> {
    const port = await freePort();
    const origin = `https://localhost:${port}`;
    const provider = await IdentityProvider.start(`${origin}/account/login/corp/callback`);
    scope.after(() => provider[Symbol.asyncDispose]());
    const { hubgate } = await withMirror(scope, {
      policy: 'allow: [{ id: pay, pull: acme/pay, to: "group:corp/payments", private: true }]',
      users: ['local'],
      privateImages: { 'acme/pay': imageOf() },
      ...options,
      port,
      configuration: {
        login: { corp: { oidc: { issuer: provider.issuer, clientId: 'hubgate' }, ...times } },
        ...options.configuration,
      },
    });
    await hubgate.startAccount();
    return new DirectoryMirror(provider, hubgate, origin);
  }

  private constructor(provider: IdentityProvider, hubgate: TestHubgate, origin: string) {
    this.provider = provider;
    this.hubgate = hubgate;
    this.origin = origin;
  }

  /** Begins a login, as the link of the login page does. Returns where the browser goes. */
  async begin(browser: Browser, to = '/account/'): Promise<string> {
    const { status, headers } = await browser.get(`/account/login/corp?to=${encodeURIComponent(to)}`);
    assert.equal(status, 303);
    return String(headers.location);
  }

  /** Logs somebody in at the provider, and brings its answer back. */
  async logIn(browser: Browser, sub: string, to?: string): Promise<ShownPage> {
    await this.provider.logsIn(sub);
    const back = await this.provider.browse(await this.begin(browser, to));
    assert.equal(back.origin, this.origin);
    return browser.get(`${back.pathname}${back.search}`, { 'sec-fetch-site': 'cross-site' });
  }

  /** Creates somebody at the provider, with whom a browser is logged in. */
  async loggedIn(name: string, groups: readonly string[] = ['payments']): Promise<Browser> {
    await this.provider.setPerson(`sub-${name}`, { preferred_username: name, groups });
    const browser = new Browser(this.hubgate);
    const { status, text } = await this.logIn(browser, `sub-${name}`);
    assert.equal(status, 200, text);
    return browser;
  }

  /** Makes a personal token on the account page. */
  async tokenOf(browser: Browser): Promise<string> {
    const csrf = await browser.csrf('/account/tokens');
    const { text } = await browser.post('/account/tokens', { csrf, label: 'laptop', days: '30' });
    return /hubgate_[0-9A-Za-z]{46}/.exec(text)?.[0] ?? assert.fail(text);
  }

  /** Sends a token of the provider to the address for logouts. Returns the status. */
  async logOut(token: string): Promise<number> {
    const { status } = await this.hubgate.ask('/account/login/corp/logout', {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      send: new URLSearchParams({ logout_token: token }).toString(),
    });
    return status;
  }
}
