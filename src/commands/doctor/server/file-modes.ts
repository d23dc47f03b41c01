import { stat } from 'node:fs/promises';
import { previousKeyFile } from '../../../auth/token/signing-key-file.ts';
import { passwordFilesOf } from '../../../config/config.ts';
import { inHome } from '../../../config/home.ts';
import { modeOfServerKey } from '../../../pki/local-ca.ts';
import { type Finding, type Looked, wrong } from '../checks.ts';
import type { ExaminedServer } from './server.ts';

/** The permission bits that a file must not have. */
type Modes = readonly (readonly [file: string, forbidden: number])[];

/** Only the owner may read secrets. */
const SECRET = 0o077;
/** Other files are readable for the group that the roles may share. The group may write only to sockets. */
const SHARED = 0o027;
const SOCKET = 0o007;

export async function fileModes(server: ExaminedServer): Promise<Looked> {
  // The gateway may run as another user than the key's owner, and then reads the key through its group.
  const serverKey = await modeOfServerKey(server.config.tls).catch(() => 0o600);
  const found = await Promise.all(
    modesOf(server, serverKey).map(([file, forbidden]) => tooOpen(file, forbidden, server)),
  );
  return { findings: found.flat() };
}

function modesOf({ paths, config }: ExaminedServer, serverKey: number): Modes {
  const { tls, log } = config;
  const secrets = [
    ...passwordFilesOf(config),
    paths.ca.key,
    paths.users,
    paths.signingKey,
    previousKeyFile(paths.signingKey),
    ...['', '-wal', '-shm'].map((end) => paths.authState + end),
  ];
  return [
    ...[...new Set(secrets)].map((file) => [file, SECRET] as const),
    [tls.key, ~serverKey & 0o077] as const,
    ...[...Object.values(paths.runtime), paths.supervisorRuntime, paths.lastPolicy, log.audit].map(
      (file) => [file, SHARED] as const,
    ),
    ...[paths.authSocket, paths.coreSocket].map((file) => [file, SOCKET] as const),
  ];
}

async function tooOpen(file: string, forbidden: number, { paths }: ExaminedServer): Promise<Finding[]> {
  const mode = await stat(file).then(
    (stats) => stats.mode & 0o777,
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
      return 0;
    },
  );
  if ((mode & forbidden) === 0) return [];
  const wanted = (mode & ~forbidden).toString(8).padStart(4, '0');
  const what = `has mode 0${mode.toString(8)}: ${(mode & 0o007) === 0 ? 'its group' : 'everybody'} can get at it`;
  const where = inHome(file, paths);
  return [wrong(where, what, `chmod ${wanted} ${where}; what was in it may have been read: renew secrets`)];
}
