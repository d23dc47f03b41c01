/**
 * Patterns of the policy: `*` is one path segment or part of one, `**` any depth, `${user}` the caller's own name as a
 * literal. They match whole names, never parts, in time linear in the name's length: all positions that the pattern
 * can be in are carried along together, so there is nothing to back-track.
 */
export interface Pattern {
  readonly text: string;
  /** What every match begins with: most patterns of a policy are done with after a look at it. */
  readonly literal: string;
  /** What comes after it. */
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

const TOKEN = /\$\{user\}|(?<=^|\/)\*\*\/|\*\*|\*|./gsu;

export function compilePattern(text: string): Pattern {
  const steps = (text.match(TOKEN) ?? []).flatMap((token): Step[] => {
    if (token === '*') return [{ kind: 'segment' }];
    if (token === '**') return [{ kind: 'any' }];
    if (token === '**/') return [{ kind: 'directories' }, { kind: 'directory' }];
    if (token === '${user}') return [{ kind: 'user' }];
    return [{ kind: 'character', character: token }];
  });
  const wild = steps.findIndex(({ kind }) => kind !== 'character');
  const length = wild < 0 ? steps.length : wild;
  const literal = steps.slice(0, length).map((step) => (step.kind === 'character' ? step.character : ''));
  return { text, literal: literal.join(''), steps: steps.slice(length) };
}

/** `user` undefined: a pattern with `${user}` matches nothing, for there is no name that it could stand for. */
export function matchesPattern(pattern: Pattern, name: string, user: string | undefined): boolean {
  const { literal } = pattern;
  if (!name.startsWith(literal)) return false;
  if (pattern.steps.length === 0) return name.length === literal.length;
  const steps = user === undefined ? pattern.steps : pattern.steps.flatMap((step) => spellOut(step, user));
  let positions = settle(steps, new Set([0]));
  for (const character of name.slice(literal.length)) {
    const next = new Set<number>();
    for (const position of positions) advance(steps[position], position, character, next);
    if (next.size === 0) return false;
    positions = settle(steps, next);
  }
  return positions.has(steps.length);
}

function spellOut(step: Step, user: string): Step[] {
  return step.kind === 'user' ? [...user].map((character) => ({ kind: 'character', character })) : [step];
}

/** Adds the positions that are reached without reading a character. */
function settle(steps: readonly Step[], positions: Set<number>): Set<number> {
  // A set is walked in the order of insertion, what is added on the way included.
  for (const position of positions) {
    const kind = steps[position]?.kind;
    if (kind === 'segment' || kind === 'any') positions.add(position + 1);
    if (kind === 'directories') positions.add(position + 1).add(position + 2);
  }
  return positions;
}

function advance(step: Step | undefined, position: number, character: string, next: Set<number>): void {
  switch (step?.kind) {
    case 'character':
      if (step.character === character) next.add(position + 1);
      return;
    case 'segment':
      if (character !== '/') next.add(position);
      return;
    case 'any':
      next.add(position);
      return;
    case 'directory':
      next.add(position);
      if (character === '/') next.add(position + 1);
  }
}
