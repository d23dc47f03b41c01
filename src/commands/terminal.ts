import type { Readable, Writable } from 'node:stream';

/** Standard output or error; a terminal says how wide it is. */
export type Output = Writable & { readonly isTTY?: boolean; readonly columns?: number };

/** Where a command reads and prints, so that a test can stand in for a terminal. */
export interface Terminal {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Output;
  readonly stderr: Output;
}

/** 0: done. 1: refused, or found wrong. 2: bad usage or configuration. */
export type ExitCode = 0 | 1 | 2;

export function printLine(stream: Writable, text = ''): void {
  stream.write(`${text}\n`);
}

export function printJson(stream: Writable, value: unknown): void {
  printLine(stream, JSON.stringify(value, undefined, 2));
}
