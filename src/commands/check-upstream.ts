import type { Config } from '../config/config.ts';
import type { Environment } from '../config/environment.ts';
import { pathsIn } from '../config/home.ts';
import { STANDARD_LIMITS } from '../core/limits.ts';
import { createRegistryClient } from '../core/upstream/registry-client.ts';
import { createTransport } from '../core/upstream/transport.ts';
import { allSteps, wantedManifest } from '../core/upstream-check.ts';
import { loadOrPrint } from '../launch/load.ts';
import { type ExitCode, printJson, printLine, type Terminal } from '../launch/terminal.ts';
import { egressOptions, upstreamOptions } from '../launch/upstream-options.ts';
import { systemClock } from '../platform/clock.ts';
import { createLogger } from '../platform/log.ts';
import { UPSTREAM_STEPS, type UpstreamStep } from '../protocol/core-api.ts';
import { askRole, type CoreCommandOptions } from './ask-role.ts';

/** The time in milliseconds that all steps together may take. */
const DEADLINE = 90_000;

/**
 * Makes a whole pull from one registry and prints each step. A running core does it, because it has the
 * credential and the network that count; otherwise this process does. Returns 1 if a step fails.
 */
export async function checkUpstream(
  host: string,
  image: string | undefined,
  options: CoreCommandOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const paths = pathsIn(options.home);
  const config = await loadOrPrint(paths, environment, terminal);
  if (config === undefined) return 2;
  const why = whyNot(host, image, config);
  if (why !== undefined) {
    printLine(terminal.stderr, `hubgate: ${why}`);
    return 2;
  }
  const body = { host, image: image ?? null };
  const question = { method: 'POST', path: '/upstreams/steps', body, schema: UPSTREAM_STEPS } as const;
  const asked = await askRole(paths.coreSocket, { ...question, deadline: DEADLINE });
  if (asked === 'none') {
    printLine(
      terminal.stderr,
      `hubgate: the running core knows no ${host}; start it again with this configuration`,
    );
    return 1;
  }
  const steps = asked === 'silent' ? await goFromHere(host, image, config) : asked.answer;
  if (options.json) printJson(terminal.stdout, steps);
  else for (const step of steps) printStep(step, terminal);
  return steps.some(({ result }) => result === 'failed') ? 1 : 0;
}

function whyNot(host: string, image: string | undefined, { upstreams, coreUrl }: Config): string | undefined {
  if (coreUrl !== undefined)
    return `the registry at core.url (${coreUrl}) asks the upstreams itself; hubgate doctor looks at that`;
  const hosts = upstreams.map((one) => one.host);
  if (!hosts.some((one) => one === host))
    return `${host} is none of the upstreams of this mirror: ${hosts.join(', ')}`;
  return image === undefined || wantedManifest(image, host, namesOf(hosts)) !== undefined
    ? undefined
    : `"${image}" is no image of ${host}: REPOSITORY, REPOSITORY:TAG or REPOSITORY@DIGEST`;
}

function namesOf(hosts: readonly string[]) {
  return { upstreams: new Set(hosts), self: new Set<string>() };
}

async function goFromHere(
  host: string,
  image: string | undefined,
  config: Config,
): Promise<readonly UpstreamStep[]> {
  const log = createLogger('upstream check', config.log);
  log.level = 'silent';
  const limits = STANDARD_LIMITS;
  const egress = await egressOptions(config);
  await using transport = createTransport({ limits, log, ...(egress && { egress }) });
  const upstreams = await upstreamOptions(config);
  const upstream = upstreams.find((one) => one.host === host);
  if (upstream === undefined) throw new Error(`no upstream ${host} is configured`);
  using client = createRegistryClient({ upstreams, transport, limits, clock: systemClock, log });
  const names = namesOf(upstreams.map((one) => one.host));
  const wanted = image === undefined ? undefined : wantedManifest(image, host, names);
  // The call is awaited here, because the connections end with this function.
  return await allSteps({ upstream, egress, transport, client, limits }, wanted);
}

const SIGNS: Readonly<Record<UpstreamStep['result'], string>> = { ok: '✓', failed: '✗', skipped: '–' };
const WIDTH = 'first bytes'.length;

function printStep({ step, result, detail, mend }: UpstreamStep, { stdout }: Terminal): void {
  printLine(stdout, `${SIGNS[result]} ${step.padEnd(WIDTH)}  ${detail}`);
  if (mend !== null) printLine(stdout, `  ${' '.repeat(WIDTH)}  → ${mend}`);
}
