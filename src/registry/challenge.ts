/** `WWW-Authenticate` in both directions: RFC 9110 §11.6.1, and the token specification's `Bearer` parameters. */
export interface BearerChallenge {
  readonly realm: string;
  readonly service?: string;
  readonly scope?: string;
  readonly error?: 'invalid_token' | 'insufficient_scope';
}

/**
 * Our own challenge. Parameters without a value are left out, because an empty one (`scope=""`) ends the parsing in
 * docker, skopeo and go-containerregistry, and the realm is lost.
 */
export function writeChallenge({ realm, service, scope, error }: BearerChallenge): string {
  const parameters = Object.entries({ realm, service, scope, error }).filter(
    ([, value]) => value !== undefined,
  );
  return `Bearer ${parameters.map(([key, value]) => `${key}="${value}"`).join(',')}`;
}

export interface UpstreamChallenge {
  readonly scheme: 'bearer' | 'basic';
  readonly parameters: ReadonlyMap<string, string>;
}

const SCHEME = /[ \t]*(bearer|basic)(?![\w-])/iy;
const KEY = /[a-z0-9_-]+/iy;
const BARE = /[^\s",]+/y;
const SPACE = /[ \t]*/y;
const SEPARATORS = /[ \t,]*/y;

/**
 * An upstream's challenge. Only the first is read: a registry that means several sends the best one first. Each expression is
 * tried at one position and repeats one class of characters, so that reading takes time in proportion to the header's length.
 */
export function readChallenge(header: string): UpstreamChallenge | undefined {
  const reader = new HeaderReader(header);
  const scheme = reader.take(SCHEME)?.trim().toLowerCase();
  if (scheme !== 'bearer' && scheme !== 'basic') return undefined;
  const parameters = new Map<string, string>();
  while (!reader.isAtEnd) {
    reader.take(SEPARATORS);
    const name = reader.take(KEY)?.toLowerCase();
    reader.take(SPACE);
    if (name === undefined || !reader.skip('=')) {
      // Not a parameter: the name of another scheme, or rubbish.
      if (name === undefined) reader.skipOne();
      continue;
    }
    reader.take(SPACE);
    const value = reader.takeQuoted() ?? reader.take(BARE) ?? '';
    if (!parameters.has(name)) parameters.set(name, value);
  }
  return { scheme, parameters };
}

/** Reads a header from its beginning to its end. */
class HeaderReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#text.length;
  }

  /** What the sticky expression matches here. */
  take(what: RegExp): string | undefined {
    what.lastIndex = this.#at;
    const match = what.exec(this.#text)?.[0];
    this.#at += match?.length ?? 0;
    return match;
  }

  skip(character: string): boolean {
    const isThere = this.#text[this.#at] === character;
    if (isThere) this.#at++;
    return isThere;
  }

  skipOne(): void {
    this.#at++;
  }

  /** A quoted string without its quotes and escapes: RFC 9110 §5.6.4. One without an end takes the rest of the header. */
  takeQuoted(): string | undefined {
    if (!this.skip('"')) return undefined;
    const characters: string[] = [];
    while (!this.isAtEnd && !this.skip('"')) {
      this.skip('\\');
      characters.push(this.#text[this.#at++] ?? '');
    }
    return characters.join('');
  }
}
