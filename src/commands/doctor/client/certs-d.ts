import path from 'node:path';
import { type Finding, wrong } from '../checks.ts';
import type { HostFiles } from './host-files.ts';
import { blocksIn, type ClientCertificateFiles } from './route.ts';

/**
 * The content of one of Docker's directories of certificates for a registry: `*.crt`, and pairs of `*.cert`
 * and `*.key`.
 */
export interface CertsDirectory {
  readonly authorities: readonly string[];
  readonly certificate?: ClientCertificateFiles;
  /** A program that reads a directory with any of these findings pulls nothing at all. */
  readonly findings: readonly Finding[];
}

export async function readCertsDirectory(files: HostFiles, directory: string): Promise<CertsDirectory> {
  const names = new Set(await files.names(directory));
  const authorities = (await files.texts(directory, '.crt')).flatMap(blocksIn);
  const lonely = [...names].flatMap((name) => withoutTwin(name, names));
  const findings = lonely.map(([name, twin]) =>
    wrong(
      path.join(directory, name),
      `is without ${twin}`,
      `put ${twin} beside it, or remove ${name}: half a pair makes every pull fail, from the Hub too`,
    ),
  );
  const pair = [...names].find((name) => name.endsWith('.cert') && names.has(keyOf(name)));
  if (pair === undefined) return { authorities, findings };
  const at = (name: string) => path.join(directory, name);
  return { authorities, certificate: { certificate: at(pair), key: at(keyOf(pair)) }, findings };
}

function withoutTwin(name: string, names: ReadonlySet<string>): (readonly [string, string])[] {
  const twin = name.endsWith('.cert')
    ? keyOf(name)
    : name.endsWith('.key')
      ? name.replace(/\.key$/, '.cert')
      : undefined;
  return twin === undefined || names.has(twin) ? [] : [[name, twin]];
}

function keyOf(certificate: string): string {
  return certificate.replace(/\.cert$/, '.key');
}
