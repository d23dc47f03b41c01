import type { TestHubgate } from './test-hubgate.ts';
import { PASSWORD } from './test-hubgate.ts';

export interface ShownPage {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** Sends what a browser would send for its user: its cookies, and where a request comes from. */
export class Browser {
  readonly cookies = new Map<string, string>();
  readonly #hubgate: TestHubgate;

  constructor(hubgate: TestHubgate) {
    this.#hubgate = hubgate;
  }

  get(path: string, headers: Record<string, string> = {}): Promise<ShownPage> {
    return this.#send(path, 'GET', headers);
  }

  post(path: string, form: Record<string, string>, headers: Record<string, string> = {}): Promise<ShownPage> {
    const type = { 'content-type': 'application/x-www-form-urlencoded' };
    const all = { 'sec-fetch-site': 'same-origin', ...type, ...headers };
    return this.#send(path, 'POST', all, new URLSearchParams(form).toString());
  }

  /** Logs in by the form. */
  async logIn(name: string, password = PASSWORD): Promise<ShownPage> {
    return this.post('/account/login', { name, password });
  }

  /** Returns the CSRF token that the forms of a page have. */
  async csrf(path = '/account/'): Promise<string> {
    const { text } = await this.get(path);
    return /name="csrf" value="([^"]+)"/.exec(text)?.[1] ?? '';
  }

  async #send(
    path: string,
    method: string,
    headers: Record<string, string>,
    send?: string,
  ): Promise<ShownPage> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const all = { host: `localhost:${this.#hubgate.port}`, ...(cookie && { cookie }), ...headers };
    const answer = await this.#hubgate.send({
      path,
      method,
      headers: all,
      ...(send !== undefined && { send }),
    });
    for (const set of answer.headers['set-cookie'] ?? []) this.#take(set);
    return { status: answer.status, headers: answer.headers, text: answer.body.toString() };
  }

  #take(set: string): void {
    const [pair = '', ...attributes] = set.split('; ');
    const [name = '', value = ''] = pair.split('=');
    if (attributes.includes('Max-Age=0')) this.cookies.delete(name);
    else this.cookies.set(name, value);
  }
}
