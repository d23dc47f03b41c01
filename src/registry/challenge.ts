/**
 * Formats and parses `WWW-Authenticate` (RFC 9110 §11.6.1) with the token specification's `Bearer`
 * parameters.
 */
export interface BearerChallenge {
  readonly realm: string;
  readonly service?: string;
  readonly scope?: string;
  readonly error?: 'invalid_token' | 'insufficient_scope';
  /**
   * The `error_description` (RFC 6750 §3), which a person reads. docker prints it, and drops the body of a
   * 401.
   */
  readonly description?: string;
}

/**
 * The limit in characters. A header must fit into the limits of clients and proxies, and a reason for people
 * is short.
 */
const LONGEST_DESCRIPTION = 300;

/**
 * Formats our own challenge. Parameters without a value are left out, because an empty one (`scope=""`) ends
 * the parsing in docker, skopeo and go-containerregistry, and the realm is lost.
 */
export function formatChallenge({ realm, service, scope, error, description }: BearerChallenge): string {
  const error_description = description === undefined ? undefined : formatDescription(description);
  const parameters = Object.entries({ realm, service, scope, error, error_description }).filter(
    ([, value]) => value !== undefined,
  );
  return `Bearer ${parameters.map(([key, value]) => `${key}="${value}"`).join(',')}`;
}

const TYPOGRAPHIC: Readonly<Record<string, string>> = {
  ...{ '"': "'", '\\': '/', '‘': "'", '’': "'", '“': "'", '”': "'", '„': "'" },
  ...{ '–': '-', '—': '-', '…': '...', ß: 'ss' },
};

/**
 * Converts text to the characters that RFC 6750 §3 allows in `error_description`: visible ASCII and the
 * space, without `"` and `\`. A letter loses its accents, white space becomes a space, and any other
 * character a question mark. Returns undefined if nothing is left.
 */
function formatDescription(text: string): string | undefined {
  const plain = text
    .slice(0, 2 * LONGEST_DESCRIPTION)
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .replace(/\s/g, ' ')
    .replace(/[^ !#-[\]-~]/gu, (character) => TYPOGRAPHIC[character] ?? '?')
    .trim();
  if (plain === '') return undefined;
  return plain.length <= LONGEST_DESCRIPTION ? plain : `${plain.slice(0, LONGEST_DESCRIPTION - 3)}...`;
}

export interface UpstreamChallenge {
  readonly scheme: 'bearer' | 'basic';
  readonly parameters: ReadonlyMap<string, string>;
}

const NAME = /[^\s",=]+/y;
const BARE = /[^\s",]+/y;
const SPACE = /[ \t]*/y;
const SEPARATORS = /[ \t,]*/y;

/**
 * Returns the best of an upstream's challenges. A token is better than the credential itself at each request.
 */
export function parseChallenge(headers: string | readonly string[]): UpstreamChallenge | undefined {
  const challenges = parseChallenges(headers);
  return challenges.find(({ scheme }) => scheme === 'bearer') ?? challenges[0];
}

/** Returns all challenges of known schemes, in all headers, in their order. */
export function parseChallenges(headers: string | readonly string[]): readonly UpstreamChallenge[] {
  return [headers].flat().flatMap((header) => [...challengesIn(header)].filter(isKnown));
}

interface ReadChallenge {
  readonly scheme: string;
  readonly parameters: Map<string, string>;
}

function isKnown(challenge: ReadChallenge): challenge is ReadChallenge & UpstreamChallenge {
  return isKnownScheme(challenge.scheme);
}

function isKnownScheme(scheme: string): scheme is UpstreamChallenge['scheme'] {
  return scheme === 'bearer' || scheme === 'basic';
}

/**
 * Parses the challenges of one header. Each expression is tried at one position and repeats one class of
 * characters, so that the time is proportional to the header's length. A name without a value begins another
 * challenge if a comma stands before it or its scheme is known; otherwise it is the rest of a value that
 * should be in quotes.
 */
function challengesIn(header: string): readonly ReadChallenge[] {
  const reader = new HeaderReader(header);
  const challenges: ReadChallenge[] = [];
  while (!reader.isAtEnd) {
    const before = reader.take(SEPARATORS) ?? '';
    const name = reader.take(NAME)?.toLowerCase();
    if (name === undefined) {
      reader.skipValue();
      continue;
    }
    const value = reader.takeValue();
    const current = challenges.at(-1);
    if (value !== undefined) {
      if (current?.parameters.has(name) === false) current.parameters.set(name, value);
    } else if (current === undefined || before.includes(',') || isKnownScheme(name))
      challenges.push({ scheme: name, parameters: new Map() });
  }
  return challenges;
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

  /** Takes the text that the sticky expression matches here. */
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

  /** Takes the value of a parameter, if the reader is behind a name that has one. */
  takeValue(): string | undefined {
    this.take(SPACE);
    if (!this.skip('=')) return undefined;
    this.take(SPACE);
    return this.#takeQuoted() ?? this.take(BARE) ?? '';
  }

  /** Skips a quoted string, or one character, that stands where no name is. */
  skipValue(): void {
    if (this.#takeQuoted() === undefined) this.#at++;
  }

  /**
   * Takes a quoted string without its quotes and escapes (RFC 9110 §5.6.4). A string without an end takes the
   * rest of the header.
   */
  #takeQuoted(): string | undefined {
    if (!this.skip('"')) return undefined;
    const characters: string[] = [];
    while (!this.isAtEnd && !this.skip('"')) {
      this.skip('\\');
      characters.push(this.#text[this.#at++] ?? '');
    }
    return characters.join('');
  }
}
