import { readFile } from 'node:fs/promises';
import { readUsers } from '../../auth/identity/users-file.ts';
import type { Config } from '../../config/config.ts';
import type { Environment } from '../../config/environment.ts';
import { pathsIn } from '../../config/home.ts';
import { hostedNames } from '../../config/hosted.ts';
import type { CoreClient } from '../../gateway/clients/core-client.ts';
import { openLocalCoreClient } from '../../gateway/clients/local-core-client.ts';
import { loadOrPrint } from '../../launch/load.ts';
import { type ExitCode, printJson, printLine, type Terminal } from '../../launch/terminal.ts';
import { PeerUnreachable } from '../../platform/ipc/http-client.ts';
import { messageOf, reasonOf } from '../../platform/reason.ts';
import { CORE_STATUS } from '../../protocol/core-api.ts';
import { ERRORS } from '../../registry/error.ts';
import { parseImage } from '../../registry/image.ts';
import { formatReference } from '../../registry/reference.ts';
import { HOSTED, type UpstreamNames } from '../../registry/repository.ts';
import { openPolicy, valueOrPrint } from '../access/policy.ts';
import { askCore } from '../ask-role.ts';
import { OPERATOR, openOperatorAudit } from '../operator-audit.ts';
import { HostedWriter, HostingRefused } from './hosted-writer.ts';
import {
  type Promoted,
  type Promotion,
  PromotionDenied,
  promoteImage,
  SourceUnavailable,
} from './promote-image.ts';
import { OPERATING, type Promoter, promoterOf } from './promoter.ts';

export interface PromoteCommandOptions {
  readonly home: string;
  readonly json: boolean;
  readonly dryRun: boolean;
  /** A file with a source and a target on each line. */
  readonly file?: string;
  /** The subject whom the policy judges; absent: the operator, whom no rule restricts. */
  readonly as?: string;
}

/** A source and a target as they were written, and what they mean. */
interface Wanted {
  readonly source: string;
  readonly target: string;
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
  const read = written.map(([source, target]) => parseWanted(source, target, namesOf(config)));
  const wrong = read.filter((one) => typeof one === 'string');
  for (const one of wrong) printLine(terminal.stderr, `hubgate: ${one}`);
  if (wrong.length > 0) return 2;
  const status = { method: 'GET', path: '/status', schema: CORE_STATUS } as const;
  if (typeof (await askCore(options, status, terminal)) === 'string') return 1;
  await using core = openLocalCoreClient({
    ...{ socket: paths.coreSocket, directory: config.cache.directory },
    ...(config.hosted && { hosted: config.hosted.directory }),
  });
  const promoter = await findPromoter(options, environment, terminal);
  if (promoter === undefined) return 2;
  let code: ExitCode = 0;
  for (const wanted of read.filter((one) => typeof one !== 'string')) {
    const one = { wanted, promoter, core, config };
    if (!(await promoteOne(one, options, terminal))) code = 1;
  }
  return code;
}

/** Returns undefined after printing why nobody can be judged. */
async function findPromoter(
  { home, as }: PromoteCommandOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<Promoter | undefined> {
  if (as === undefined) return OPERATING;
  const paths = pathsIn(home);
  const read = await openPolicy(paths, environment, terminal);
  const users = read && valueOrPrint(await readUsers(paths.users), paths, terminal);
  if (read === undefined || users === undefined) return undefined;
  const promoter = promoterOf(as, read.policy, users);
  if (typeof promoter !== 'string') return promoter;
  printLine(terminal.stderr, `hubgate: ${promoter}`);
  return undefined;
}

interface OnePromotion {
  readonly wanted: Wanted;
  readonly promoter: Promoter;
  readonly core: CoreClient;
  readonly config: Config;
}

/**
 * Promotes one image and records it. Resolves to false after printing why it is not there, or not recorded.
 */
async function promoteOne(
  { wanted, promoter, core, config }: OnePromotion,
  options: PromoteCommandOptions,
  terminal: Terminal,
): Promise<boolean> {
  const { source, promotion } = wanted;
  const started = performance.now();
  await using audit = options.dryRun ? undefined : await openOperatorAudit(config);
  await using writer = new HostedWriter({
    ...{ coreSocket: pathsIn(options.home).coreSocket, repository: promotion.target.path },
    subject: promoter.subject === OPERATOR ? `promote ${source}` : `${promoter.subject}: promote ${source}`,
  });
  try {
    const dry = options.dryRun ? {} : { writer };
    const promoted = await promoteImage(promotion, { core, promoter, ...dry });
    await audit?.write(promotedLine(promotion, promoter, { status: 201, ...promoted }), started);
    printPromoted(wanted, promoted, options, terminal);
    return true;
  } catch (error) {
    if (!isExpected(error)) throw error;
    await audit?.write(promotedLine(promotion, promoter, outcomeOf(error)), started);
    printLine(terminal.stderr, `hubgate: ${source} is not promoted: ${messageOf(error)}`);
    return false;
  }
}

type ExpectedError = SourceUnavailable | HostingRefused | PromotionDenied | PeerUnreachable;

function isExpected(error: unknown): error is ExpectedError {
  return [SourceUnavailable, HostingRefused, PromotionDenied, PeerUnreachable].some(
    (kind) => error instanceof kind,
  );
}

interface PromotionOutcome {
  readonly status: number;
  readonly digest?: string;
  readonly previous?: string | null;
  /** Present if the policy refuses it. */
  readonly denial?: PromotionDenied;
}

function outcomeOf(error: ExpectedError): PromotionOutcome {
  if (error instanceof PeerUnreachable) return { status: ERRORS.UNAVAILABLE.status };
  return { status: error.status, ...(error instanceof PromotionDenied && { denial: error }) };
}

function promotedLine(
  { source, reference, target, tag }: Promotion,
  { subject, judge }: Promoter,
  { status, digest, previous, denial }: PromotionOutcome,
) {
  const { rule } = denial ?? judge('push', target, tag);
  const separator = reference.kind === 'tag' ? ':' : '@';
  return {
    ...({ action: 'promote', subject, method: 'PUT', repository: target.name, tag } as const),
    ...(digest !== undefined && { digest }),
    ...(typeof previous === 'string' && { previous }),
    from: `${source.name}${separator}${formatReference(reference)}`,
    ...(rule !== undefined && { rule }),
    decision: denial === undefined ? ('allow' as const) : ('deny' as const),
    status,
  };
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

function parseWanted(source: string, target: string, names: UpstreamNames): Wanted | string {
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
    ...{ source, target },
    promotion: { source: repository, reference, target: to.repository, tag: to.tag },
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
