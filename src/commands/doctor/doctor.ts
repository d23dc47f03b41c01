/**
 * Finds what is wrong with this mirror, or on a host that should pull through one. Each check looks at one
 * thing and changes nothing; each finding says what to do.
 */
import { lookup } from 'node:dns/promises';
import type { Environment } from '../../config/environment.ts';
import { type ExitCode, printJson, printLine, type Terminal } from '../../launch/terminal.ts';
import { type Clock, systemClock } from '../../platform/clock.ts';
import { type Checked, type Finding, runAll } from './checks.ts';
import { clientChecks } from './client/checks.ts';
import { type NamedMirror, parseMirror } from './client/mirror.ts';
import type { ServerPeer } from './connection.ts';
import { serverChecks } from './server/checks.ts';

export interface DoctorOptions {
  readonly home: string;
  readonly json: boolean;
  /** The address of the mirror, if this is a host that should pull through it. */
  readonly fromClient?: string;
  /** The image whose pull is tried there. */
  readonly image: string;
}

/** The place that the doctor examines. Tests give another one. */
export interface DoctorContext {
  readonly clock: Clock;
  /** The directory that stands for `/` of a client host. */
  readonly root: string;
  /** The servers of Docker Hub. */
  readonly hub: readonly ServerPeer[];
  /** The addresses that the name of the mirror means on a client host; absent: those that it means here. */
  readonly addresses?: readonly string[];
}

const HERE: DoctorContext = {
  clock: systemClock,
  root: '/',
  hub: [
    { host: 'registry-1.docker.io', port: 443 },
    { host: 'auth.docker.io', port: 443 },
  ],
};

/** Returns 1 if something is wrong, and 2 if the question makes no sense. */
export async function doctor(
  options: DoctorOptions,
  environment: Environment,
  terminal: Terminal,
  context = HERE,
): Promise<ExitCode> {
  const mirror =
    options.fromClient === undefined ? undefined : parseMirror(options.fromClient, options.image);
  if (mirror !== undefined && 'refusal' in mirror) {
    printLine(terminal.stderr, `hubgate: ${mirror.refusal}`);
    return 2;
  }
  const checked = await runAll(await checksFor(mirror, options, environment, context));
  if (options.json) printJson(terminal.stdout, { checks: checked });
  else print(checked, terminal);
  return checked.every(({ outcome }) => outcome !== 'wrong') ? 0 : 1;
}

async function checksFor(
  mirror: NamedMirror | undefined,
  { home }: DoctorOptions,
  environment: Environment,
  { clock, root, hub, addresses }: DoctorContext,
) {
  if (mirror === undefined) return serverChecks(home, environment, clock);
  const known = { ...mirror, addresses: addresses ?? (await addressesOf(mirror.host)) };
  return clientChecks({ mirror: known, root, hub, clock });
}

/** Returns an empty list if the name means no address, which the check of the mirror reports. */
async function addressesOf(host: string): Promise<readonly string[]> {
  const found = await lookup(host, { all: true }).catch(() => []);
  return found.map(({ address }) => address);
}

function print(checked: readonly Checked[], { stdout }: Terminal): void {
  const findings = checked.flatMap((one) => ('findings' in one ? one.findings : []));
  for (const finding of findings) printFinding(finding, stdout);
  const wrong = findings.filter(({ level }) => level === 'wrong').length;
  const open = findings.length - wrong;
  const looked = checked.filter(({ outcome }) => outcome !== 'skipped').length;
  const counted = `(${looked} checks${open === 0 ? '' : `, ${open} of which cannot be told`})`;
  const said = checked.flatMap((one) => ('said' in one && one.said !== undefined ? [one.said] : []));
  const verdict = wrong > 0 ? `found wrong: ${wrong}` : 'nothing found wrong';
  printLine(stdout, [`${verdict} ${counted}`, ...said].join('; '));
}

function printFinding({ level, where, what, mend }: Finding, stdout: Terminal['stdout']): void {
  printLine(stdout, `${level === 'wrong' ? '' : 'not known: '}${where} ${what}`);
  printLine(stdout, `  ${mend}`);
}
