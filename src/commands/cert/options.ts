import { type ExitCode, printLine, type Terminal } from '../../launch/terminal.ts';

export interface CertOptions {
  readonly home: string;
}

export function refuseCertificate({ stderr }: Terminal, why: string, code: ExitCode = 1): ExitCode {
  printLine(stderr, `hubgate: ${why}`);
  return code;
}
