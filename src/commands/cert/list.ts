import { recordedCertificates } from '../../auth/admin/certificates.ts';
import type { StoredCertificate } from '../../auth/state/auth-state.ts';
import type { Environment } from '../../config/environment.ts';
import { type ExitCode, printJson, type Terminal } from '../../launch/terminal.ts';
import { credentialStores } from '../credential-stores.ts';
import { printTable } from '../table.ts';
import type { CertOptions } from './options.ts';

export async function listCerts(
  options: CertOptions & { readonly json: boolean },
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const certificates = (await recordedCertificates(await credentialStores(options.home, environment))).map(
    toListed,
  );
  if (options.json) printJson(terminal.stdout, certificates);
  else
    printTable(terminal.stdout, {
      heading: ['NAME', 'ISSUED', 'EXPIRES', 'REVOKED', 'SERIAL', 'SHA-256'],
      rows: certificates.map(({ name, serial, fingerprint, issued, expires, revoked }) => [
        ...[name, issued, expires, revoked ?? '-', serial, fingerprint],
      ]),
      empty: 'no client certificate was issued or revoked; to issue one: hubgate cert issue NAME',
    });
  return 0;
}

function toListed({ name, serial, fingerprint, issuedAt, expiresAt, revokedAt }: StoredCertificate) {
  return {
    name,
    serial,
    fingerprint,
    issued: new Date(issuedAt).toISOString(),
    expires: new Date(expiresAt).toISOString(),
    revoked: revokedAt === null ? null : new Date(revokedAt).toISOString(),
  };
}
