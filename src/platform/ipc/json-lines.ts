import type { Readable } from 'node:stream';

/** Reads a body of JSON lines, one at a time. */
export interface Lines {
  /** Resolves to undefined at the end; rejects if the body breaks off. */
  next(): Promise<unknown>;
  close(): void;
}

/** The most characters of a line. No line of ours is longer. */
const MAX_LINE = 8 * 1024 * 1024;

export function readLines(body: Readable): Lines {
  const lines = splitLines(body);
  return {
    next: async () => {
      const { done, value } = await lines.next();
      return done === true ? undefined : JSON.parse(value);
    },
    close: () => body.destroy(),
  };
}

export function formatLine(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}

async function* splitLines(body: Readable): AsyncGenerator<string, void> {
  let rest = '';
  for await (const chunk of body) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > MAX_LINE) throw new Error(`a line is longer than ${MAX_LINE} characters`);
    yield* lines;
  }
}
