import { createRequire } from 'node:module';
import pino, { type Logger } from 'pino';
import type pinoPretty from 'pino-pretty';

export type { Logger } from 'pino';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export const LOG_FORMATS = ['auto', 'json', 'text'] as const;

export interface LogOptions {
  readonly level: (typeof LOG_LEVELS)[number];
  /** `auto`: text on a terminal, else one JSON object a line. */
  readonly format: (typeof LOG_FORMATS)[number];
}

/**
 * A process' log on its standard output. What is logged are named fields that the caller chose: never a request, a
 * header or an options object as a whole, because those can hold secrets.
 */
export function createLogger(name: string, { level, format: wanted }: LogOptions): Logger {
  const text = wanted === 'text' || (wanted === 'auto' && process.stdout.isTTY === true);
  const options = { level, base: { process: name }, timestamp: pino.stdTimeFunctions.isoTime };
  if (!text) return pino(options, pino.destination({ fd: 1, sync: true }));
  // Loaded where there is somebody to read it: a service is spared its memory.
  const pretty: typeof pinoPretty = createRequire(import.meta.url)('pino-pretty');
  const format = {
    sync: true,
    translateTime: 'SYS:HH:MM:ss',
    ignore: 'pid,hostname',
    // What stands in a line and in which order is `writeText`'s to say.
    hideObject: true,
    messageFormat: writeText,
  };
  return pino(options, pretty(format));
}

/** Fields that a line has otherwise, or first. */
const ELSEWHERE: ReadonlySet<string> = new Set(['level', 'time', 'process', 'msg']);

/**
 * `core: upstream trouble  cause=timeout detail="no answer"`; of lists and of what has several lines, each on one of its
 * own. What others wrote stays in its line, and is no command to a terminal.
 */
export function writeText(line: Readonly<Record<string, unknown>>, messageKey: string): string {
  const fields = Object.entries(line).filter(([name]) => !ELSEWHERE.has(name));
  const long = ([, value]: [string, unknown]) => Array.isArray(value) || String(value).includes('\n');
  const short = fields.filter((field) => !long(field)).map(([name, value]) => `${name}=${writeValue(value)}`);
  const lines = fields
    .filter(long)
    .flatMap(([, value]) => (Array.isArray(value) ? value : String(value).split('\n')));
  const first = [`${line.process}: ${line[messageKey]}`, short.join(' ')].filter(Boolean).join('  ');
  return [first, ...lines.map((one) => `    ${withoutControls(asText(one))}`)].join('\n');
}

function writeValue(value: unknown): string {
  const text = asText(value);
  return typeof value === 'string' && !/^[\w.:/@+-]+$/.test(text)
    ? withoutControls(JSON.stringify(text))
    : withoutControls(text);
}

function asText(value: unknown): string {
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function withoutControls(text: string): string {
  return text.replace(/\p{Cc}/gu, (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
