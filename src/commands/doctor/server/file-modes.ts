import { stat } from 'node:fs/promises';
import { inHome } from '../../../config/home.ts';
import { namedSecretsOf, secretFilesOf } from '../../../launch/secret-files.ts';
import { type Finding, type Looked, wrong } from '../checks.ts';
import type { ExaminedServer } from './server.ts';

/** The permission bits that a file must not have. */
type Modes = readonly (readonly [file: string, forbidden: number])[];

/**
 * A start refuses secrets with these bits, too. The group that the roles may share may read, and write only
 * to sockets.
 */
const SHARED = 0o027;
const SOCKET = 0o007;

export async function fileModes(server: ExaminedServer): Promise<Looked> {
  const found = await Promise.all(
    modesOf(server).map(([file, forbidden]) => tooOpen(file, forbidden, server)),
  );
  return { findings: found.flat() };
}

function modesOf({ paths, config }: ExaminedServer): Modes {
  const files = [
    ...namedSecretsOf('all', config),
    ...secretFilesOf('all', paths),
    ...Object.values(paths.runtime),
    paths.supervisorRuntime,
    paths.lastPolicy,
    config.log.audit,
  ];
  return [
    ...[...new Set(files)].map((file) => [file, SHARED] as const),
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
  const who = (mode & 0o007) === 0 ? 'its group may write it' : 'others may read or write it';
  const where = inHome(file, paths);
  return [
    wrong(
      where,
      `has mode 0${mode.toString(8)}: ${who}`,
      `chmod ${wanted} ${where}; what was in it may have been read: renew secrets`,
    ),
  ];
}
