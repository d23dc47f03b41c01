import type { StoredCertificate } from '../../auth/state/auth-state.ts';
import { type ExitCode, printJson, printLine, type Terminal } from '../terminal.ts';
import { type CertOptions, withState } from './stored.ts';

export async function listCerts(
  options: CertOptions & { readonly json: boolean },
  terminal: Terminal,
): Promise<ExitCode> {
  const certificates = (await withState(options, (state) => state.certificates())).map(shown);
  if (options.json) printJson(terminal.stdout, certificates);
  else
    for (const { name, serial, fingerprint, issued, expires, revoked } of certificates) {
      const end = revoked === null ? `until ${expires}` : `revoked ${revoked}`;
      printLine(terminal.stdout, `${name}  issued ${issued}  ${end}`);
      printLine(terminal.stdout, `  serial ${serial}  SHA-256 ${fingerprint}`);
    }
  return 0;
}

function shown({ name, serial, fingerprint, issuedAt, expiresAt, revokedAt }: StoredCertificate) {
  return {
    name,
    serial,
    fingerprint,
    issued: new Date(issuedAt).toISOString(),
    expires: new Date(expiresAt).toISOString(),
    revoked: revokedAt === null ? null : new Date(revokedAt).toISOString(),
  };
}
