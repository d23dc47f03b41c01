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
  const format = { sync: true, ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss', singleLine: true };
  return pino(options, pretty(format));
}
