import type { KeyObject } from 'node:crypto';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { isCertificateName } from '../../access/subject.ts';
import { recordCertificate } from '../../auth/admin/certificates.ts';
import type { Environment } from '../../config/environment.ts';
import { pathsIn } from '../../config/home.ts';
import { type ExitCode, printLine, type Terminal } from '../../launch/terminal.ts';
import { type IssuedClientCertificate, issueClientCertificate } from '../../pki/client-certificate.ts';
import { parseSigningRequest } from '../../pki/signing-request.ts';
import { systemClock } from '../../platform/clock.ts';
import { isErrno, reasonOf } from '../../platform/reason.ts';
import { readIfPresent } from '../../platform/regular-file.ts';
import { credentialStores } from '../credential-stores.ts';
import { type CertOptions, refuseCertificate } from './options.ts';

export interface IssueOptions extends CertOptions {
  readonly out?: string;
  readonly days: string;
  /** A file with a signing request for a key that is kept elsewhere. */
  readonly csr?: string;
}

export const CERTIFICATE_NAME_RULE = 'letters, digits and ._- after the first, at most 64';
/** Nobody should trust a file on a node for longer than this. */
const MAX_DAYS = 825;

/**
 * Issues the files for `/etc/docker/certs.d/<host>/`. The certificate is recorded before it is written
 * anywhere, so that it can be revoked.
 */
export async function issueCert(
  name: string,
  options: IssueOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  if (!isCertificateName(name))
    return refuseCertificate(terminal, `"${name}" is no name: ${CERTIFICATE_NAME_RULE}`, 2);
  const days = /^\d{1,4}$/.test(options.days) ? Number(options.days) : 0;
  if (days < 1 || days > MAX_DAYS)
    return refuseCertificate(terminal, `--days is a number from 1 to ${MAX_DAYS}, not "${options.days}"`, 2);
  const asked = options.csr === undefined ? {} : await readRequest(options.csr);
  if ('refusal' in asked) return refuseCertificate(terminal, `${options.csr}: ${asked.refusal}`);
  const directory = options.out ?? name;
  const mine = ['client.cert', ...(options.csr === undefined ? ['client.key'] : [])];
  for (const file of mine) {
    const there = path.join(directory, file);
    if ((await textOf(there)) !== undefined) return refuseCertificate(terminal, `${there} is there already`);
  }
  if (options.out === undefined && !(await isFree(directory)))
    return refuseCertificate(
      terminal,
      `./${directory} is there already, and is not empty; name another directory with --out`,
    );
  const paths = pathsIn(options.home);
  const issued = await issueClientCertificate({ ca: paths.ca, name, days, ...asked, clock: systemClock });
  const authority = await textOf(path.join(directory, 'ca.crt'));
  if (authority !== undefined && authority.trim() !== issued.ca.toString().trim())
    return refuseCertificate(
      terminal,
      `${path.join(directory, 'ca.crt')} is there already, and is another authority’s`,
    );
  const store = await credentialStores(options.home, environment);
  await recordCertificate(store, issued.certificate, name, systemClock());
  await writeAll(directory, issued, authority === undefined);
  const end = issued.certificate.validToDate.toISOString().slice(0, 10);
  printLine(terminal.stdout, `cert:${name} until ${end}, in ${directory}`);
  return 0;
}

/**
 * True if the directory is absent or empty. A directory that nobody named must hold this certificate alone:
 * the name of a certificate may also be that of a directory with sources.
 */
async function isFree(directory: string): Promise<boolean> {
  try {
    return (await readdir(directory)).length === 0;
  } catch (error) {
    return isErrno(error, 'ENOENT');
  }
}

async function readRequest(
  file: string,
): Promise<{ readonly publicKey: KeyObject } | { readonly refusal: string }> {
  const text = await textOf(file);
  return text === undefined ? { refusal: 'there is no such file' } : parseSigningRequest(text);
}

/** Returns undefined if there is no such file. */
async function textOf(file: string): Promise<string | undefined> {
  try {
    return (await readIfPresent(file))?.toString('utf8');
  } catch (error) {
    throw new Error(`${file} cannot be read: ${reasonOf(error)}`, { cause: error });
  }
}

/** Writes all files. It overwrites nothing, not even a file that somebody else has written meanwhile. */
async function writeAll(
  directory: string,
  { certificate, key, ca }: IssuedClientCertificate,
  withCa: boolean,
): Promise<void> {
  await mkdir(directory, { recursive: true });
  const write = (name: string, text: string, mode: number) =>
    writeFile(path.join(directory, name), text, { mode, flag: 'wx' });
  if (key !== undefined) await write('client.key', key, 0o600);
  await write('client.cert', certificate.toString(), 0o644);
  if (withCa) await write('ca.crt', ca.toString(), 0o644);
}
