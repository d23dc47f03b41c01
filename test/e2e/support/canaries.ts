import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';

/** A place that was looked into, and what stood there. */
export interface Place {
  readonly name: string;
  readonly content: string;
}

/** Secrets, by what they are called, and where they may not turn up. */
export class Canaries {
  readonly #secrets = new Map<string, string>();

  /** Of a secret with several lines, as a key in PEM has, each long one counts for itself. */
  add(name: string, secret: string): void {
    const lines = secret.split('\n').filter((line) => line.length >= 16 && !line.startsWith('-----'));
    const parts = lines.length > 1 ? lines : [secret.trim()];
    for (const [index, part] of parts.entries()) {
      if (part.length < 12) throw new Error(`${name} is too short to be looked for`);
      this.#secrets.set(parts.length === 1 ? name : `${name}, line ${index + 1}`, part);
    }
  }

  /** Of a JWT only the signature is secret: who, what and until when is also said elsewhere. */
  addJwt(name: string, jwt: string): void {
    this.add(name, jwt.split('.').at(-1) ?? '');
  }

  /** The names of those that stand in `content`: as they are, in base64, encoded for a URL, or escaped in JSON. */
  in(content: string): string[] {
    return [...this.#secrets]
      .filter(([, secret]) => writtenForms(secret).some((form) => content.includes(form)))
      .map(([name]) => name);
  }

  /** What was found, as `secret: place`. */
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

/** What of a text's base64 is the same wherever in a longer text it stands, as in `user:password`. */
function inBase64(secret: string, encoding: 'base64' | 'base64url'): string[] {
  return [0, 1, 2].map((before) => {
    const encoded = Buffer.from(`${'x'.repeat(before)}${secret}`)
      .toString(encoding)
      .replaceAll('=', '');
    return encoded.slice(before === 0 ? 0 : before + 1, -1);
  });
}

/** Every file below a directory that others than its owner's group may read. */
export async function openFiles(directory: string): Promise<Place[]> {
  const found: Place[] = [];
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    const file = path.join(entry.parentPath, entry.name);
    if (!entry.isFile() || ((await stat(file)).mode & 0o004) === 0) continue;
    found.push({ name: path.relative(directory, file), content: await readFile(file, 'latin1') });
  }
  return found;
}

/** What stands in a process's arguments and, which only its own user can read, in its environment. */
export async function processPlaces(name: string, pid: number): Promise<Place[]> {
  const read = (file: string) => readFile(`/proc/${pid}/${file}`, 'latin1');
  return [
    { name: `argv of ${name}`, content: await read('cmdline') },
    { name: `environment of ${name}`, content: await read('environ') },
  ];
}
