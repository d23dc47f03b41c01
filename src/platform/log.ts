import { createRequire } from 'node:module';
import { Writable } from 'node:stream';
import pino, { type Logger } from 'pino';
import type pinoPretty from 'pino-pretty';
import { escapeControls, escapeControlsInLines } from './escape-controls.ts';
import { isObject } from './object-properties.ts';
import { asError, errorCode } from './reason.ts';

export type { Logger } from 'pino';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export const LOG_FORMATS = ['auto', 'json', 'text'] as const;

export interface LogOptions {
  readonly level: (typeof LOG_LEVELS)[number];
  /** `auto` is text on a terminal, and otherwise one JSON object on each line. */
  readonly format: (typeof LOG_FORMATS)[number];
}

/**
 * Makes a process's log on its standard output. Callers log named fields that they chose, never a request, a
 * header or an options object as a whole, because those can contain secrets.
 */
export function createLogger(name: string, { level, format: wanted }: LogOptions): Logger {
  const text = wanted === 'text' || (wanted === 'auto' && process.stdout.isTTY === true);
  const options = {
    ...{ level, base: { process: name }, timestamp: pino.stdTimeFunctions.isoTime },
    // A reader of JSON need not know pino's numbers.
    formatters: { level: (label: string) => ({ level: label }) },
    hooks: SAFE_LINES,
    serializers: { err: serializeError },
  };
  const destination = openStandardOutput((lost) =>
    logger.error({ lost }, 'log lines were lost, because standard output could not be written'),
  );
  const logger = pino(options, text ? prettyOn(destination) : destination);
  return logger;
}

/** The most lines that wait while standard output cannot be written. */
const MAX_WAITING = 1024 * 1024;

/**
 * Opens the output so that no role ends because the log cannot be written, for example because the disk is
 * full. Lines then wait. Those that are dropped beyond a limit are counted, and their number is logged as
 * soon as possible.
 */
function openStandardOutput(sayLost: (lines: number) => void) {
  const destination = pino.destination({ fd: 1, sync: true, maxLength: MAX_WAITING });
  let lost = 0;
  destination.on('error', () => {});
  destination.on('drop', () => {
    lost++;
    // A line that finds no room does not start a write, so without this no line longer than the room that is
    // left would ever be written again.
    destination.write('');
  });
  destination.on('drain', () => {
    const lines = lost;
    lost = 0;
    if (lines > 0) sayLost(lines);
  });
  return destination;
}

function prettyOn(output: ReturnType<typeof openStandardOutput>) {
  // pino-pretty would stop using a destination that has failed once.
  const destination = new Writable({
    decodeStrings: false,
    write(lines: string, _encoding, done) {
      output.write(lines);
      done();
    },
  });
  // The package is loaded only if somebody reads the text, because a service should not need its memory.
  const pretty: typeof pinoPretty = createRequire(import.meta.url)('pino-pretty');
  return pretty({
    destination,
    sync: true,
    // The time zone is that of the other format, and of the audit log.
    translateTime: "UTC:yyyy-mm-dd'T'HH:MM:ss'Z'",
    ignore: 'pid,hostname',
    // `formatText` decides what a line contains, and in which order.
    hideObject: true,
    messageFormat: formatText,
  });
}

/** pino escapes only the characters that JSON requires, which are those of C0. */
const SAFE_LINES = { streamWrite: escapeControlsInLines };

/** An error in the log. */
interface LoggedError {
  readonly type: string;
  readonly message: string;
  readonly code?: string;
  readonly stack: string;
  readonly cause?: LoggedError;
}

/** The most causes of one error that are logged. An error can be its own cause. */
const MOST_CAUSES = 8;

/**
 * Returns the part of an error that is logged. Its other properties are left out, because they can contain a
 * request, an answer or the output of a program, and thereby a secret.
 */
export function serializeError(thrown: unknown, causes = MOST_CAUSES): LoggedError {
  const error = asError(thrown);
  const code = errorCode(error);
  return {
    type: error.name,
    message: error.message,
    ...(code !== undefined && { code }),
    stack: error.stack ?? '',
    ...(error.cause !== undefined && causes > 0 && { cause: serializeError(error.cause, causes - 1) }),
  };
}

/** The fields that `formatText` does not print as `name=value`. */
const ELSEWHERE: ReadonlySet<string> = new Set(['level', 'time', 'process', 'msg']);

/**
 * Formats a line: `core: upstream trouble cause=timeout detail="no answer"`. Each element of a list, and each
 * line of a longer text, gets a line of its own. Text from other parties stays in its line, and cannot
 * contain commands for a terminal.
 */
export function formatText(line: Readonly<Record<string, unknown>>, messageKey: string): string {
  const fields = Object.entries(line)
    .filter(([name]) => !ELSEWHERE.has(name))
    .flatMap((field) => errorFields(field) ?? [field]);
  const long = ([, value]: [string, unknown]) => Array.isArray(value) || String(value).includes('\n');
  const short = fields
    .filter((field) => !long(field))
    .map(([name, value]) => `${name}=${formatValue(value)}`);
  const lines = fields
    .filter(long)
    .flatMap(([, value]) => (Array.isArray(value) ? value : String(value).split('\n')));
  const first = [`${line.process}: ${escapeControls(asText(line[messageKey]))}`, short.join(' ')]
    .filter(Boolean)
    .join('  ');
  return [first, ...lines.map((one) => `    ${escapeControls(asText(one))}`)].join('\n');
}

/**
 * Returns the message of a logged error and, if they have more than one line, its stack and those of its
 * causes.
 */
function errorFields([name, value]: readonly [string, unknown]): [string, unknown][] | undefined {
  if (name !== 'err' || !isObject(value)) return undefined;
  const stack = stacksOf(value);
  return [
    ['err', value.message],
    ...(stack.includes('\n') ? [['stack', stack] satisfies [string, unknown]] : []),
  ];
}

function stacksOf({ stack, cause }: Readonly<Record<PropertyKey, unknown>>): string {
  const own = typeof stack === 'string' ? stack : '';
  return isObject(cause) ? `${own}\ncaused by: ${stacksOf(cause)}` : own;
}

function formatValue(value: unknown): string {
  const text = asText(value);
  return typeof value === 'string' && !/^[\w.:/@+-]+$/.test(text)
    ? escapeControls(JSON.stringify(text))
    : escapeControls(text);
}

function asText(value: unknown): string {
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
