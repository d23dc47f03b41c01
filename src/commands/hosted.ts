import { type ExitCode, printJson, printLine, type Terminal } from '../launch/terminal.ts';
import { formatSize } from '../platform/size.ts';
import {
  COLLECTED,
  type CollectedContent,
  HOSTED_REPOSITORIES,
  HOSTED_TAGS,
  TAG_HISTORY,
} from '../protocol/hosted-api.ts';
import { askCore, type CoreCommandOptions } from './ask-role.ts';
import { nothingHosted, splitTag } from './hosted-changes.ts';
import { printTable } from './table.ts';

/** Long enough for a core that judges everything that it has. */
const COLLECT_DEADLINE = 10 * 60_000;

export async function hostedList(options: CoreCommandOptions, terminal: Terminal): Promise<ExitCode> {
  const said = await askCore(
    options,
    { method: 'GET', path: '/hosted-repositories', schema: HOSTED_REPOSITORIES },
    terminal,
  );
  if (typeof said === 'string') return nothingHosted(said, terminal);
  const { failure, namespaces, repositories } = said.answer;
  const { stdout } = terminal;
  if (options.json) printJson(stdout, said.answer);
  else if (failure !== null) printLine(stdout, `the hosted repositories cannot be used: ${failure}`);
  else {
    for (const { name, bytes, quota } of namespaces)
      printLine(
        stdout,
        `${name}/**: ${formatSize(bytes)}${quota === null ? '' : ` of ${formatSize(quota)}`}`,
      );
    printTable(stdout, {
      heading: ['REPOSITORY', 'TAGS', 'SIZE'],
      rows: repositories.map(({ path, bytes, tags }) => [path, String(tags), formatSize(bytes)]),
      empty: 'nothing has been pushed',
    });
  }
  return failure === null ? 0 : 1;
}

/** Lists the tags of a repository, or the changes of one tag. */
export async function hostedTags(
  what: string,
  options: CoreCommandOptions,
  terminal: Terminal,
): Promise<ExitCode> {
  const { repository, tag } = splitTag(what);
  return tag === undefined
    ? listTags(repository, options, terminal)
    : listChanges(repository, tag, options, terminal);
}

async function listTags(
  repository: string,
  options: CoreCommandOptions,
  terminal: Terminal,
): Promise<ExitCode> {
  const path = `/hosted-repositories/tags?${new URLSearchParams({ repository })}`;
  const said = await askCore(options, { method: 'GET', path, schema: HOSTED_TAGS }, terminal);
  if (said === 'none') return unknown(repository, terminal);
  if (said === 'silent') return 1;
  if (options.json) printJson(terminal.stdout, said.answer);
  else
    printTable(terminal.stdout, {
      heading: ['TAG', 'SET', 'DIGEST'],
      rows: said.answer.map(({ tag, setAt, digest }) => [tag, timeOf(setAt), digest]),
      empty: 'it has no tags',
    });
  return 0;
}

async function listChanges(
  repository: string,
  tag: string,
  options: CoreCommandOptions,
  terminal: Terminal,
): Promise<ExitCode> {
  const path = `/hosted-repositories/history?${new URLSearchParams({ repository, tag })}`;
  const said = await askCore(options, { method: 'GET', path, schema: TAG_HISTORY }, terminal);
  if (said === 'none') return unknown(repository, terminal);
  if (said === 'silent') return 1;
  if (options.json) printJson(terminal.stdout, said.answer);
  else
    printTable(terminal.stdout, {
      heading: ['TIME', 'SUBJECT', 'DIGEST', 'BEFORE'],
      rows: said.answer.map(({ at, subject, digest, previous }) => [
        ...[timeOf(at), subject, digest ?? 'deleted', previous ?? 'new'],
      ]),
      empty: 'there is no such tag',
    });
  return 0;
}

/** Removes what nothing needs, or says what it would do with each candidate. */
export async function hostedGc(
  options: CoreCommandOptions & { readonly dryRun?: boolean },
  terminal: Terminal,
): Promise<ExitCode> {
  const question = {
    ...({ method: 'POST', path: '/hosted-repositories/collect', schema: COLLECTED } as const),
    ...{ body: { dryRun: options.dryRun === true }, deadline: COLLECT_DEADLINE },
  };
  const said = await askCore(options, question, terminal);
  if (typeof said === 'string') return nothingHosted(said, terminal);
  if (options.json) printJson(terminal.stdout, said.answer);
  else
    printTable(terminal.stdout, {
      heading: ['REPOSITORY', 'CONTENT', 'ACTION', 'REASON'],
      rows: said.answer.map((one) => [one.repository, one.tag ?? one.digest, actionOf(one), one.why]),
      empty: 'nothing is to be removed',
    });
  return 0;
}

function actionOf({ action, until }: CollectedContent): string {
  return until === null ? action : `${action} until ${timeOf(until)}`;
}

function unknown(repository: string, { stderr }: Terminal): ExitCode {
  printLine(stderr, `hubgate: nobody has pushed to "${repository}" here`);
  return 1;
}

function timeOf(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}
