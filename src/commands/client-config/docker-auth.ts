import type { Mirror } from './kit.ts';

/** What docker keeps in `config.json` and Kubernetes in a secret: the logins by registry. */
export function dockerAuth({ host }: Mirror, name: string, token: string): string {
  const auth = Buffer.from(`${name}:${token}`).toString('base64');
  return JSON.stringify({ auths: { [host]: { username: name, password: token, auth } } });
}

/** A name with which there is no way around the mirror. */
export function explicitName({ host }: Mirror): string {
  return `${host}/docker.io/library/alpine`;
}
