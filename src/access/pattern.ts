/**
 * Patterns of the policy: `*` is one path segment or part of one, `**` any depth, `${user}` the caller's own name as a
 * literal. They match whole names, never parts, in time linear in the name's length: all positions that the pattern
 * can be in are carried along together, so there is nothing to back-track.
 */
export interface Pattern {
  readonly text: string;
  /** What every match begins with: most patterns of a policy are done with after a look at it. */
  readonly literal: string;
  /** What every match ends with: most of the others, such as those that begin with **, are done with after a look at it. */
  readonly ending: string;
  /** Where `${user}` comes after `literal`: what every match has after the caller's name. */
  readonly afterUser?: string;
  /** What comes after `literal`, the ending included. */
  readonly steps: readonly Step[];
}

type Step =
  | { readonly kind: 'character'; readonly character: string }
  /** `*`: stays on anything but a slash, or goes on. */
  | { readonly kind: 'segment' }
  /** `**`: stays on anything, or goes on. */
  | { readonly kind: 'any' }
  /** `**` as a whole segment in front of others: past itself and `directory` (no depth at all), or into `directory`. */
  | { readonly kind: 'directories' }
  /** Stays on anything, and goes on at a slash. */
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

/** From there on; what stands before it says whether `**` begins a segment. */
function stepsOf(text: string, from: number): Step[] {
  const steps: Step[] = [];
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

function isWild({ kind }: Step): boolean {
  return kind !== 'character';
}

function untilWild(steps: readonly Step[]): readonly Step[] {
  const wild = steps.findIndex(isWild);
  return wild < 0 ? steps : steps.slice(0, wild);
}

function lettersOf(steps: readonly Step[]): string {
  return steps.map((step) => (step.kind === 'character' ? step.character : '')).join('');
}

/** `user` undefined: a pattern with `${user}` matches nothing, for there is no name that it could stand for. */
export function matchesPattern(pattern: Pattern, name: string, user: string | undefined): boolean {
  const { literal, ending, steps } = pattern;
  if (!name.startsWith(literal) || !name.endsWith(ending)) return false;
  // Up to the first wildcard there is one way only to read the name.
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
  // Nearly all patterns end like this.
  const kind = steps[wild]?.kind;
  if (left === 1 && kind === 'any') return true;
  if (left === 1 && kind === 'segment') return !name.includes('/', position);
  return matchesSteps(spellOut(wild === 0 ? steps : steps.slice(wild), user), name.slice(position));
}

/** What a step stands for, where that is known; undefined for a wildcard, and for a name that the caller has not. */
function textOf(step: Step | undefined, user: string | undefined): string | undefined {
  if (step?.kind === 'character') return step.character;
  return step?.kind === 'user' ? user : undefined;
}

function spellOut(steps: readonly Step[], user: string | undefined): readonly Step[] {
  if (user === undefined || !steps.some(({ kind }) => kind === 'user')) return steps;
  return steps.flatMap((step) =>
    step.kind === 'user' ? [...user].map((character) => ({ kind: 'character', character }) as const) : [step],
  );
}

function matchesSteps(steps: readonly Step[], rest: string): boolean {
  // Whether each position is one that the pattern can be in; the last one is its end.
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

/** Adds the positions that are reached without reading a character: all of them lie ahead, so one walk finds them. */
function settle(steps: readonly Step[], positions: Uint8Array): void {
  for (let position = 0; position < steps.length; position++) {
    if (positions[position] !== 1) continue;
    const kind = steps[position]?.kind;
    if (kind === 'segment' || kind === 'any' || kind === 'directories') positions[position + 1] = 1;
    if (kind === 'directories') positions[position + 2] = 1;
  }
}

function advance(step: Step | undefined, position: number, character: string, next: Uint8Array): void {
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
