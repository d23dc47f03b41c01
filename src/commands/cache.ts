import { type ExitCode, printJson, printLine, type Terminal } from '../launch/terminal.ts';
import { formatSize } from '../platform/size.ts';
import { CACHED_REPOSITORIES, CORE_STATUS, PURGED } from '../protocol/core-api.ts';
import { askCore, type CoreCommandOptions } from './ask-role.ts';
import { printTable } from './table.ts';

export async function cacheStats(options: CoreCommandOptions, terminal: Terminal): Promise<ExitCode> {
  const said = await askCore(options, { method: 'GET', path: '/status', schema: CORE_STATUS }, terminal);
  if (typeof said === 'string') return 1;
  const { blobs, bytes, maxSize, repositories, unwritten, error } = said.answer.cache;
  const { stdout } = terminal;
  if (options.json) printJson(stdout, said.answer.cache);
  else {
    printLine(
      stdout,
      `manifests and blobs: ${blobs}  size: ${formatSize(bytes)} of ${formatSize(maxSize)}  repositories: ${repositories}`,
    );
    if (error !== null) printLine(stdout, `nothing is cached at present, because writing fails: ${error}`);
    if (unwritten > 0) printLine(stdout, `answers that could not be cached since the start: ${unwritten}`);
  }
  return 0;
}

export async function cacheList(options: CoreCommandOptions, terminal: Terminal): Promise<ExitCode> {
  const said = await askCore(
    options,
    { method: 'GET', path: '/cache', schema: CACHED_REPOSITORIES },
    terminal,
  );
  if (typeof said === 'string') return 1;
  if (options.json) printJson(terminal.stdout, said.answer);
  else
    printTable(terminal.stdout, {
      heading: ['REPOSITORY', 'VISIBILITY', 'TAGS', 'DIGESTS'],
      rows: said.answer.map(({ name, visibility, digests, tags }) => [
        ...[name, visibility, String(tags), String(digests)],
      ]),
      empty: 'the cache is empty',
    });
  return 0;
}

/** Purges `what`, which is a repository, `repository:tag` or `repository@digest`. */
export async function cachePurge(
  what: string,
  options: CoreCommandOptions,
  terminal: Terminal,
): Promise<ExitCode> {
  const question = {
    method: 'POST',
    path: '/cache/purge',
    body: parsePurgeTarget(what),
    schema: PURGED,
  } as const;
  const said = await askCore(options, question, terminal);
  if (said === 'silent') return 1;
  if (said === 'none') {
    printLine(terminal.stderr, `hubgate: "${what}" is no repository of a configured upstream`);
    return 2;
  }
  const { digests, bytes, nodes = 0 } = said.answer;
  const { stdout } = terminal;
  if (options.json) printJson(stdout, said.answer);
  else {
    printLine(stdout, `purged: digests: ${digests}  content: ${formatSize(bytes)}`);
    if (nodes > 0)
      printLine(
        stdout,
        `the other nodes of the cluster (${nodes}) remove it from their disks too, those that are away when they are back: PURGES in "hubgate cluster status" counts what is left`,
      );
  }
  return 0;
}

/** Splits the name from the tag or digest. A colon before a slash belongs to the port of a host. */
function parsePurgeTarget(what: string): { repository: string; reference: string | null } {
  const [, repository = what, digest] = /^([^@]+)@(.+)$/.exec(what) ?? [];
  if (digest !== undefined) return { repository, reference: digest };
  const [, name = what, tag = null] = /^(.+):([^/:]+)$/.exec(what) ?? [];
  return { repository: name, reference: tag };
}
