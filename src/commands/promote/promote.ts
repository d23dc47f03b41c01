import { readFile } from 'node:fs/promises';
import type { Config } from '../../config/config.ts';
import type { Environment } from '../../config/environment.ts';
import { pathsIn } from '../../config/home.ts';
import { hostedNames } from '../../config/hosted.ts';
import { openLocalCoreClient } from '../../gateway/clients/local-core-client.ts';
import { loadOrPrint } from '../../launch/load.ts';
import { type ExitCode, printJson, printLine, type Terminal } from '../../launch/terminal.ts';
import { PeerUnreachable } from '../../platform/ipc/http-client.ts';
import { messageOf, reasonOf } from '../../platform/reason.ts';
import { CORE_STATUS } from '../../protocol/core-api.ts';
import { parseImage } from '../../registry/image.ts';
import { HOSTED, type UpstreamNames } from '../../registry/repository.ts';
import { askCore } from '../ask-role.ts';
import { HostedWriter, HostingRefused } from './hosted-writer.ts';
import { type Promoted, type Promotion, promoteImage, SourceUnavailable } from './promote-image.ts';

export interface PromoteCommandOptions {
  readonly home: string;
  readonly json: boolean;
  readonly dryRun: boolean;
  /** A file with a source and a target on each line. */
  readonly file?: string;
}

/** A source and a target as they were written, and what they mean. */
interface Wanted {
  readonly source: string;
  readonly target: string;
  readonly repository: string;
  readonly promotion: Promotion;
}

/** Puts images into hosted repositories. Returns 0 if all are there, 1 if some are not, 2 after bad usage. */
export async function promote(
  args: readonly string[],
  options: PromoteCommandOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const paths = pathsIn(options.home);
  const config = await loadOrPrint(paths, environment, terminal);
  if (config === undefined) return 2;
  const written = await readPairs(args, options.file);
  if (typeof written === 'string') return refuse(written, terminal);
  const read = written.map(([source, target]) => readWanted(source, target, namesOf(config)));
  const wrong = read.filter((one) => typeof one === 'string');
  for (const one of wrong) printLine(terminal.stderr, `hubgate: ${one}`);
  if (wrong.length > 0) return 2;
  const status = { method: 'GET', path: '/status', schema: CORE_STATUS } as const;
  if (typeof (await askCore(options, status, terminal)) === 'string') return 1;
  await using core = openLocalCoreClient({
    ...{ socket: paths.coreSocket, directory: config.cache.directory },
    ...(config.hosted && { hosted: config.hosted.directory }),
  });
  let code: ExitCode = 0;
  for (const wanted of read.filter((one) => typeof one !== 'string')) {
    const { repository, source, promotion } = wanted;
    const subject = `promote ${source}`;
    await using writer = new HostedWriter({ coreSocket: paths.coreSocket, repository, subject });
    try {
      const dry = options.dryRun ? {} : { writer };
      printPromoted(wanted, await promoteImage(promotion, { core, ...dry }), options, terminal);
    } catch (error) {
      if (!isExpected(error)) throw error;
      printLine(terminal.stderr, `hubgate: ${source} is not promoted: ${messageOf(error)}`);
      code = 1;
    }
  }
  return code;
}

function isExpected(error: unknown): boolean {
  return (
    error instanceof SourceUnavailable || error instanceof HostingRefused || error instanceof PeerUnreachable
  );
}

function namesOf({ upstreams, server, hosted }: Config): UpstreamNames {
  return {
    upstreams: new Set(upstreams.map(({ host }) => host)),
    self: new Set([new URL(server.url).host]),
    hosted: hostedNames(hosted),
  };
}

type Pair = readonly [source: string, target: string];

/** Returns the pairs of the arguments or of the file, or what is wrong with them. */
async function readPairs(
  args: readonly string[],
  file: string | undefined,
): Promise<readonly Pair[] | string> {
  const [source, target, ...more] = args;
  if (file === undefined)
    return source === undefined || target === undefined || more.length > 0
      ? 'name a source and a target: hubgate promote docker.io/library/nginx@sha256:… base/nginx:1.27'
      : [[source, target]];
  if (source !== undefined) return 'name either a source and a target, or a file';
  const text = await readFile(file, 'utf8').catch((error: Error) => error);
  if (text instanceof Error) return `${file} cannot be read: ${reasonOf(text)}`;
  const lines = text.split('\n').map((line, index) => ({ at: index + 1, words: wordsOf(line) }));
  const bad = lines.find(({ words }) => words.length !== 0 && words.length !== 2);
  if (bad !== undefined) return `${file}:${bad.at}: a line has a source and a target`;
  return lines.flatMap(({ words: [from, to] }): Pair[] =>
    from === undefined || to === undefined ? [] : [[from, to]],
  );
}

function wordsOf(line: string): readonly string[] {
  return line
    .replace(/#.*/, '')
    .split(/\s+/)
    .filter((word) => word !== '');
}

function readWanted(source: string, target: string, names: UpstreamNames): Wanted | string {
  const from = parseImage(source, names);
  if (from === undefined)
    return `"${source}" is no image of this mirror: REPOSITORY:TAG or REPOSITORY@DIGEST`;
  const { repository, digest, tag } = from;
  if (digest === undefined && tag === undefined) return `"${source}" has neither a tag nor a digest`;
  const to = parseImage(target, names);
  if (to?.tag === undefined || to.repository.upstream !== HOSTED)
    return `"${target}" is no tag of a hosted repository; hosted in hubgate.yaml says what is hosted`;
  const reference =
    digest === undefined
      ? ({ kind: 'tag', tag: tag ?? to.tag } as const)
      : ({ kind: 'digest', digest } as const);
  return {
    ...{ source, target, repository: to.repository.path },
    promotion: { source: repository, reference, tag: to.tag },
  };
}

function printPromoted(
  { source, target }: Wanted,
  promoted: Promoted,
  { json, dryRun }: PromoteCommandOptions,
  { stdout }: Terminal,
): void {
  if (json) return printJson(stdout, { source, target, dryRun, ...promoted });
  const { digest, manifests, blobs, referrers } = promoted;
  const what = dryRun ? 'would be' : 'is';
  printLine(stdout, `${target} ${what} ${source} (${digest})`);
  printLine(stdout, `manifests: ${manifests}, of them referrers: ${referrers}; blobs: ${blobs}`);
}

function refuse(why: string, { stderr }: Terminal): ExitCode {
  printLine(stderr, `hubgate: ${why}`);
  return 2;
}
