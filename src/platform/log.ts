import pino, { type Logger } from 'pino';
import pretty from 'pino-pretty';

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
export function createLogger(name: string, { level, format }: LogOptions): Logger {
  const text = format === 'text' || (format === 'auto' && process.stdout.isTTY === true);
  const options = { level, base: { process: name }, timestamp: pino.stdTimeFunctions.isoTime };
  return text
    ? pino(
        options,
        pretty({ sync: true, ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss', singleLine: true }),
      )
    : pino(options, pino.destination({ fd: 1, sync: true }));
}
