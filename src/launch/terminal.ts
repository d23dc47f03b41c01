import type { Readable, Writable } from 'node:stream';
import { escapeControls, escapeControlsInLines } from '../platform/escape-controls.ts';

/** Standard output or error; a terminal says how wide it is. */
export type Output = Writable & { readonly isTTY?: boolean; readonly columns?: number };

/** The streams that a command reads and prints to. A test can stand in for a terminal. */
export interface Terminal {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Output;
  readonly stderr: Output;
}

/** 0: done. 1: refused, or something was found wrong. 2: bad usage or configuration. */
export type ExitCode = 0 | 1 | 2;

/** Prints one line. It stays one line, because no control character reaches the terminal. */
export function printLine(stream: Writable, line = ''): void {
  stream.write(`${escapeControls(line)}\n`);
}

/** Prints a text of several lines. Except for the line ends, no control character reaches the terminal. */
export function printText(stream: Writable, text: string): void {
  stream.write(`${escapeControlsInLines(text)}\n`);
}

export function printJson(stream: Writable, value: unknown): void {
  printText(stream, JSON.stringify(value, undefined, 2));
}

/**
 * Lets a reader of the output stop early, as `head` does. Later output is dropped, which is no failure: the
 * command continues to its end, because it may have more to do than to print. A terminal that has gone
 * answers with EIO.
 *
 * @param fail The reaction if the output cannot be written for another reason, such as a full disk.
 */
export function letReaderLeave({ stdout, stderr }: Terminal, fail: (error: Error) => void): void {
  for (const stream of [stdout, stderr])
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (!READER_LEFT.includes(error.code)) fail(error);
    });
}

const READER_LEFT: readonly unknown[] = ['EPIPE', 'EIO', 'ERR_STREAM_DESTROYED'];
