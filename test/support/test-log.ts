import { Writable } from 'node:stream';
import pino from 'pino';
import { type Logger, serializeError } from '../../src/platform/log.ts';

export interface LoggedLine {
  /** The level as pino numbers it: 40 is a warning, 50 an error. */
  readonly level: number;
  readonly msg: string;
  readonly [field: string]: unknown;
}

/** Makes a log whose lines a test can read in `lines`. */
export function testLog(lines: LoggedLine[]): Logger {
  const destination = new Writable({
    write(line: Buffer, _encoding, done) {
      lines.push(JSON.parse(line.toString()));
      done();
    },
  });
  return pino({ level: 'debug', serializers: { err: serializeError } }, destination);
}
