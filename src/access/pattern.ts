/**
 * A pattern of the policy. `*` matches one path segment or a part of one, `**` any depth, and `${user}` the
 * caller's own name as a literal. A pattern matches whole names, never parts, in time linear in the name's
 * length: all positions that the pattern can be in are advanced together, so there is no backtracking.
 */
export interface Pattern {
  readonly text: string;
  /** The literal beginning of every match. A look at it decides for most patterns of a policy. */
  readonly literal: string;
  /**
   * The literal ending of every match. A look at it decides for most of the others, such as those that begin
   * with **.
   */
  readonly ending: string;
  /** The text that every match has after the caller's name, if `${user}` comes after `literal`. */
  readonly afterUser?: string;
  /** The steps after `literal`, including the ending. */
  readonly steps: readonly PatternStep[];
}

type PatternStep =
  | { readonly kind: 'character'; readonly character: string }
  /** `*`: it stays here at any character except a slash, or goes on. */
  | { readonly kind: 'segment' }
  /** `**`: it stays here at any character, or goes on. */
  | { readonly kind: 'any' }
  /**
   * `**` as a whole segment before others: it skips itself and `directory` (no depth at all), or enters
   * `directory`.
   */
  | { readonly kind: 'directories' }
  /** It stays here at any character, and goes on after a slash. */
  | { readonly kind: 'directory' }
  | { readonly kind: 'user' };

const WILD = /\*|\$\{user\}/;
const TOKEN = /\$\{user\}|(?<=^|\/)\*\*\/|\*\*|\*|./gsu;

export function compilePattern(text: string): Pattern {
  const first = text.search(WILD);
  if (first < 0) return { text, literal: text, ending: text, steps: [] };
  const wilder = stepsOf(text, first);
  const lastWild = wilder.findLastIndex(isWild);
  return {
    text,
    literal: text.slice(0, first),
    ending: lettersOf(wilder.slice(lastWild + 1)),
    ...(wilder[0]?.kind === 'user' && { afterUser: lettersOf(untilWild(wilder.slice(1))) }),
    steps: wilder,
  };
}

/** Returns the steps from there on. The text before `from` decides whether `**` begins a segment. */
function stepsOf(text: string, from: number): PatternStep[] {
  const steps: PatternStep[] = [];
  TOKEN.lastIndex = from;
  for (const [token] of text.matchAll(TOKEN)) {
    if (token === '*') steps.push({ kind: 'segment' });
    else if (token === '**') steps.push({ kind: 'any' });
    else if (token === '**/') steps.push({ kind: 'directories' }, { kind: 'directory' });
    else if (token === '${user}') steps.push({ kind: 'user' });
    else steps.push({ kind: 'character', character: token });
  }
  return steps;
}

function isWild({ kind }: PatternStep): boolean {
  return kind !== 'character';
}

function untilWild(steps: readonly PatternStep[]): readonly PatternStep[] {
  const wild = steps.findIndex(isWild);
  return wild < 0 ? steps : steps.slice(0, wild);
}

function lettersOf(steps: readonly PatternStep[]): string {
  return steps.map((step) => (step.kind === 'character' ? step.character : '')).join('');
}

/**
 * Matches a name. A pattern with `${user}` matches nothing if `user` is undefined, because there is no name
 * that it could stand for.
 */
export function matchesPattern(pattern: Pattern, name: string, user: string | undefined): boolean {
  const { literal, ending, steps } = pattern;
  if (!name.startsWith(literal) || !name.endsWith(ending)) return false;
  // Up to the first wildcard there is only one way to read the name.
  let wild = 0;
  let position = literal.length;
  for (; wild < steps.length; wild++) {
    const text = textOf(steps[wild], user);
    if (text === undefined) break;
    if (!name.startsWith(text, position)) return false;
    position += text.length;
  }
  const left = steps.length - wild;
  if (left === 0) return name.length === position;
  // Nearly all patterns end in one of these wildcards.
  const kind = steps[wild]?.kind;
  if (left === 1 && kind === 'any') return true;
  if (left === 1 && kind === 'segment') return !name.includes('/', position);
  return matchesSteps(spellOut(wild === 0 ? steps : steps.slice(wild), user), name.slice(position));
}

/**
 * Returns the text that a step stands for. Undefined for a wildcard, and for the name of a caller who has
 * none.
 */
function textOf(step: PatternStep | undefined, user: string | undefined): string | undefined {
  if (step?.kind === 'character') return step.character;
  return step?.kind === 'user' ? user : undefined;
}

function spellOut(steps: readonly PatternStep[], user: string | undefined): readonly PatternStep[] {
  if (user === undefined || !steps.some(({ kind }) => kind === 'user')) return steps;
  return steps.flatMap((step) =>
    step.kind === 'user' ? [...user].map((character) => ({ kind: 'character', character }) as const) : [step],
  );
}

function matchesSteps(steps: readonly PatternStep[], rest: string): boolean {
  // Each element says whether the pattern can be in that position; the last one is its end.
  let positions = new Uint8Array(steps.length + 1);
  let next = new Uint8Array(steps.length + 1);
  positions[0] = 1;
  settle(steps, positions);
  for (const character of rest) {
    next.fill(0);
    for (let position = 0; position < steps.length; position++) {
      if (positions[position] === 1) advance(steps[position], position, character, next);
    }
    [positions, next] = [next, positions];
    settle(steps, positions);
  }
  return positions[steps.length] === 1;
}

/**
 * Adds the positions that are reached without reading a character. All of them come later, so one pass finds
 * them.
 */
function settle(steps: readonly PatternStep[], positions: Uint8Array): void {
  for (let position = 0; position < steps.length; position++) {
    if (positions[position] !== 1) continue;
    const kind = steps[position]?.kind;
    if (kind === 'segment' || kind === 'any' || kind === 'directories') positions[position + 1] = 1;
    if (kind === 'directories') positions[position + 2] = 1;
  }
}

function advance(step: PatternStep | undefined, position: number, character: string, next: Uint8Array): void {
  switch (step?.kind) {
    case 'character':
      if (step.character === character) next[position + 1] = 1;
      return;
    case 'segment':
      if (character !== '/') next[position] = 1;
      return;
    case 'any':
      next[position] = 1;
      return;
    case 'directory':
      next[position] = 1;
      if (character === '/') next[position + 1] = 1;
  }
}
