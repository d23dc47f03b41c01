import { readFile } from 'node:fs/promises';
import type { UpstreamHost } from '../../registry/repository.ts';

/** An upstream as the core is given it. */
export interface UpstreamOptions {
  readonly host: UpstreamHost;
  readonly url: URL;
  readonly credential?: UpstreamCredential;
}

export type UpstreamCredential = { readonly username: string } & (
  | { readonly password: string }
  | { readonly passwordFile: string }
);

/**
 * As whom an upstream is asked. What `anonymous` may read is public; `account` is the configured credential where there
 * is one, and anonymous too where there is none.
 */
export type Identity = 'anonymous' | 'account';

/** The value of a Basic header. The file is read anew each time, so that a new credential needs no restart. */
export async function basicAuthorization(credential: UpstreamCredential): Promise<string> {
  const password =
    'password' in credential
      ? credential.password
      : (await readFile(credential.passwordFile, 'utf8')).trimEnd();
  return `Basic ${Buffer.from(`${credential.username}:${password}`).toString('base64')}`;
}
