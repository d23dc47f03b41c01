import type { KitMirror } from './kit.ts';

/** Returns the logins by registry, as docker stores them in `config.json` and Kubernetes in a secret. */
export function dockerAuth({ host }: KitMirror, name: string, token: string): string {
  const auth = Buffer.from(`${name}:${token}`).toString('base64');
  return JSON.stringify({ auths: { [host]: { username: name, password: token, auth } } });
}

/** Returns an image name that begins with the mirror's name, so that a pull cannot bypass the mirror. */
export function explicitName({ host }: KitMirror): string {
  return `${host}/docker.io/library/alpine`;
}
