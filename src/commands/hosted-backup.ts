/** Verifies, backs up and restores what is hosted. */
import path from 'node:path';
import type { Config } from '../config/config.ts';
import type { Environment } from '../config/environment.ts';
import { type HomePaths, pathsIn } from '../config/home.ts';
import { type BackupOutcome, backUpStoppedHosted, type MissingBlobs } from '../core/hosted/backup.ts';
import { restoreHosted } from '../core/hosted/restore.ts';
import { loadOrPrint } from '../launch/load.ts';
import { type ExitCode, printJson, printLine, type Terminal } from '../launch/terminal.ts';
import { createLogger } from '../platform/log.ts';
import { BACKED_UP_HOSTED, VERIFIED_HOSTED, type VerifiedHosted } from '../protocol/hosted-api.ts';
import { askCore, askRole, type CoreCommandOptions } from './ask-role.ts';
import { nothingHosted } from './hosted-changes.ts';

/** The milliseconds for a command that reads or copies everything, which can be terabytes. */
const READ_EVERYTHING = 24 * 60 * 60_000;

/** Compares everything that is hosted with its digests. */
export async function hostedVerify(options: CoreCommandOptions, terminal: Terminal): Promise<ExitCode> {
  const question = { method: 'POST', path: '/hosted-repositories/verify', schema: VERIFIED_HOSTED } as const;
  const said = await askCore(options, { ...question, deadline: READ_EVERYTHING }, terminal);
  if (typeof said === 'string') return nothingHosted(said, terminal);
  if (!options.json) return printVerified(said.answer, terminal);
  printJson(terminal.stdout, said.answer);
  return said.answer.damages.length === 0 ? 0 : 1;
}

function printVerified({ blobs, manifests, damages }: VerifiedHosted, terminal: Terminal): ExitCode {
  for (const { repository, reference, problem } of damages)
    printLine(terminal.stderr, `hubgate: ${repository} ${reference}: ${problem}`);
  const found = damages.length === 0 ? 'all are whole' : `damaged: ${damages.length}`;
  printLine(terminal.stdout, `blobs: ${blobs}, manifests: ${manifests}; ${found}`);
  return damages.length === 0 ? 0 : 1;
}

/** Copies what is hosted into a new or empty directory, while the mirror runs. */
export async function hostedBackup(
  directory: string,
  options: CoreCommandOptions,
  terminal: Terminal,
): Promise<ExitCode> {
  const question = { method: 'POST', path: '/hosted-repositories/backup', schema: BACKED_UP_HOSTED } as const;
  const body = { directory: path.resolve(directory) };
  const said = await askCore(options, { ...question, body, deadline: READ_EVERYTHING }, terminal);
  if (typeof said === 'string') return nothingHosted(said, terminal);
  const { answer } = said;
  if (options.json) printJson(terminal.stdout, answer);
  else if (answer.kind === 'refused') printLine(terminal.stderr, `hubgate: ${answer.why}`);
  else {
    printLine(terminal.stdout, `blobs: ${answer.blobs}; the backup is in ${body.directory}`);
    if (answer.linked > 0)
      printLine(
        terminal.stdout,
        `${answer.linked} of them share their bytes with the original, because they are on the same disk; copy the directory to another one`,
      );
  }
  return answer.kind === 'done' ? 0 : 1;
}

/**
 * Copies what a home hosts itself into a new or empty directory: the running core does it, or this process if
 * no core uses it.
 */
export async function backUpByWhomeverHoldsIt(
  { hosted, log }: Pick<Config, 'hosted' | 'log'>,
  { coreSocket }: Pick<HomePaths, 'coreSocket'>,
  directory: string,
  missing: MissingBlobs = 'fail',
): Promise<BackupOutcome> {
  const question = { method: 'POST', path: '/hosted-repositories/backup', schema: BACKED_UP_HOSTED } as const;
  const said = await askRole(coreSocket, {
    ...question,
    body: { directory, missing },
    deadline: READ_EVERYTHING,
  });
  if (typeof said !== 'string') return said.answer;
  return backUpStoppedHosted(hosted?.directory ?? '', directory, createLogger('backup', log), missing);
}

const RESTORE_CLUSTER =
  'the hosted repositories belong to the cluster. Bring back the bucket of cluster.objects, and then the database with pg_restore: "hubgate cluster backup" prints the command; see docs/cluster.md';

/** Copies a backup into the directory of `hosted`, which must be empty, and verifies it. */
export async function hostedRestore(
  backup: string,
  options: CoreCommandOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const config = await loadOrPrint(pathsIn(options.home), environment, terminal);
  if (config === undefined) return 2;
  if (config.hosted === undefined) return nothingHosted('none', terminal);
  if (config.cluster !== undefined) {
    printLine(terminal.stderr, `hubgate: ${RESTORE_CLUSTER}`);
    return 1;
  }
  const log = createLogger('hosted', config.log);
  const outcome = await restoreHosted(path.resolve(backup), config.hosted.directory, log);
  if (options.json) printJson(terminal.stdout, outcome.kind === 'restored' ? outcome.verified : outcome);
  if (outcome.kind === 'refused') {
    if (!options.json) printLine(terminal.stderr, `hubgate: ${outcome.why}`);
    return 1;
  }
  if (options.json) return outcome.verified.damages.length === 0 ? 0 : 1;
  const code = printVerified(outcome.verified, terminal);
  printLine(terminal.stdout, `restored into ${config.hosted.directory}`);
  return code;
}
