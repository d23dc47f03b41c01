import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';

/** A place that was searched, and its content. */
export interface Place {
  readonly name: string;
  readonly content: string;
}

/** Secrets by their names, and a search for them in places where they may not be. */
export class Canaries {
  readonly #secrets = new Map<string, string>();

  /**
   * Adds a secret. Each long line of a secret with several lines, such as a key in PEM, counts for itself.
   */
  add(name: string, secret: string): void {
    const lines = secret.split('\n').filter((line) => line.length >= 16 && !line.startsWith('-----'));
    const parts = lines.length > 1 ? lines : [secret.trim()];
    for (const [index, part] of parts.entries()) {
      if (part.length < 12) throw new Error(`${name} is too short to be looked for`);
      this.#secrets.set(parts.length === 1 ? name : `${name}, line ${index + 1}`, part);
    }
  }

  /** Adds a JWT. Only its signature is secret: subject, scope and expiry are also said elsewhere. */
  addJwt(name: string, jwt: string): void {
    this.add(name, jwt.split('.').at(-1) ?? '');
  }

  /**
   * Returns the names of the secrets in `content`: as they are, in base64, encoded for a URL, or escaped in
   * JSON.
   */
  in(content: string): string[] {
    return [...this.#secrets]
      .filter(([, secret]) => writtenForms(secret).some((form) => content.includes(form)))
      .map(([name]) => name);
  }

  /** Returns what was found, as `secret: place`. */
  lookInto(places: readonly Place[]): string[] {
    return places.flatMap(({ name, content }) => this.in(content).map((secret) => `${secret}: ${name}`));
  }
}

function writtenForms(secret: string): string[] {
  return [
    secret,
    encodeURIComponent(secret),
    JSON.stringify(secret).slice(1, -1),
    ...inBase64(secret, 'base64'),
    ...inBase64(secret, 'base64url'),
  ];
}

/**
 * Returns the parts of a text's base64 that do not depend on its position in a longer text, as in
 * `user:password`.
 */
function inBase64(secret: string, encoding: 'base64' | 'base64url'): string[] {
  return [0, 1, 2].map((before) => {
    const encoded = Buffer.from(`${'x'.repeat(before)}${secret}`)
      .toString(encoding)
      .replaceAll('=', '');
    return encoded.slice(before === 0 ? 0 : before + 1, -1);
  });
}

/** Returns every file below a directory that users outside its owner's group may read. */
export async function openFiles(directory: string): Promise<Place[]> {
  const found: Place[] = [];
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    const file = path.join(entry.parentPath, entry.name);
    if (!entry.isFile() || ((await stat(file)).mode & 0o004) === 0) continue;
    found.push({ name: path.relative(directory, file), content: await readFile(file, 'latin1') });
  }
  return found;
}

/** Returns the arguments of a process and its environment, which only its own user can read. */
export async function processPlaces(name: string, pid: number): Promise<Place[]> {
  const read = (file: string) => readFile(`/proc/${pid}/${file}`, 'latin1');
  return [
    { name: `argv of ${name}`, content: await read('cmdline') },
    { name: `environment of ${name}`, content: await read('environ') },
  ];
}
