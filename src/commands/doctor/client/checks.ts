import type { Clock } from '../../../platform/clock.ts';
import { parseChallenge } from '../../../registry/challenge.ts';
import { type Check, type Finding, type Looked, unknown, wrong } from '../checks.ts';
import { ask, handshake, type ServerPeer, whyNot } from '../connection.ts';
import { readContainerd } from './containerd.ts';
import { podTokenFindings } from './credential-provider.ts';
import { readDockerd } from './dockerd.ts';
import { HostFiles, UnreadableSettings } from './host-files.ts';
import type { ProbedMirror } from './mirror.ts';
import { readPodman } from './podman.ts';
import { type ProbePull, type ProbeStep, probePull } from './probe-pull.ts';
import type { Program, PullRoute, ReadProgram } from './route.ts';

export interface ClientOptions {
  readonly mirror: ProbedMirror;
  /** The directory that stands for `/` of the host. */
  readonly root: string;
  /** The servers of Docker Hub. */
  readonly hub: readonly ServerPeer[];
  readonly clock: Clock;
}

const PROGRAMS: Readonly<Record<string, ReadProgram>> = {
  dockerd: readDockerd,
  containerd: readContainerd,
  podman: readPodman,
};

/** The mirror's answer to a request without credentials. */
type Greeting = { readonly trouble: Finding } | { readonly tokens?: string; readonly finding?: Finding };

/** Returns the checks of a host whose programs should pull through the mirror. */
export async function clientChecks(options: ClientOptions): Promise<readonly Check[]> {
  const files = new HostFiles(options.root);
  const names = Object.keys(PROGRAMS);
  const read = new Map(names.map((name) => [name, readOrSay(name, files, options.mirror)]));
  const programs = Promise.all(read.values());
  const greeting = greet(options.mirror);
  const probes = probeAll(programs, greeting, files, options);
  // The checks that wait for these promises report a failure.
  for (const promise of [...read.values(), programs, greeting, probes]) promise.catch(() => {});
  const step = (name: ProbeStep): Check => ({ name, look: async () => whatStopped(name, await probes) });
  return [
    { name: 'mirror', look: async () => lookAtGreeting(await greeting) },
    { name: 'programs', look: async () => isAnyHere(await programs) },
    ...names.map((name) => ({ name, look: async () => isConfigured(await read.get(name)) })),
    ...(['trust', 'client certificate', 'identity', 'pull'] as const).map(step),
    { name: 'fallback', look: async () => fallback(await programs) },
    { name: 'tokens of pods', look: () => lookAtPodTokens(files, options.mirror) },
    { name: 'way around', look: () => wayAround(options) },
  ];
}

/** Reads the files of one program. If the program itself cannot read a file, that is the only finding. */
async function readOrSay(name: string, files: HostFiles, mirror: ProbedMirror): Promise<Program> {
  try {
    const read = PROGRAMS[name];
    if (read === undefined) throw new Error(`no program ${name} is known`);
    return await read(files, mirror);
  } catch (error) {
    if (!(error instanceof UnreadableSettings)) throw error;
    const mend = `mend it: ${name} does not start with it, or does without the mirror`;
    const findings = [wrong(error.file, `cannot be read: ${error.message}`, mend)];
    return { name, isHere: true, routes: [], findings, mend };
  }
}

async function greet(mirror: ProbedMirror): Promise<Greeting> {
  try {
    const { status, headers } = await ask(mirror, { method: 'GET', target: '/v2/' });
    const challenge = parseChallenge(headers['www-authenticate'] ?? '');
    const realm = URL.parse(challenge?.parameters.get('realm') ?? '');
    if (status !== 401 || challenge?.scheme !== 'bearer' || realm === null) {
      const mend = 'is that its address? A mirror answers 401 with a Bearer challenge';
      return { trouble: wrong(mirror.origin, `answers ${status} as no mirror does`, mend) };
    }
    const service = challenge.parameters.get('service');
    if (service !== undefined) realm.searchParams.set('service', service);
    if (realm.origin === mirror.origin) return { tokens: realm.pathname + realm.search };
    const mend = `set server.url of the mirror to ${mirror.origin}; or use ${realm.origin} here`;
    return { finding: wrong(mirror.origin, `sends its clients to ${realm.origin} for tokens`, mend) };
  } catch (error) {
    const mend = 'does it run, and does this host reach it? See to its DNS, the network and the firewall';
    return { trouble: wrong(mirror.origin, `cannot be reached: ${whyNot(error)}`, mend) };
  }
}

/** Returns undefined if the mirror does not answer. */
async function probeAll(
  programs: Promise<readonly Program[]>,
  greeting: Promise<Greeting>,
  files: HostFiles,
  { mirror, clock }: ClientOptions,
): Promise<readonly ProbePull[] | undefined> {
  const greeted = await greeting;
  if ('trouble' in greeted) return undefined;
  const routes = (await programs).filter(({ isHere }) => isHere).flatMap((program) => program.routes);
  const go = { mirror, files, tokens: greeted.tokens, clock };
  return Promise.all(routes.map((route) => probePull(route, go).catch((error) => unfinished(route, error))));
}

/** Reports a probe that failed, for example because a connection broke or this user may not read a key. */
function unfinished(route: PullRoute, error: unknown): ProbePull {
  const mend = 'look again, as root';
  const what = `could not be followed to the mirror: ${whyNot(error)}`;
  return { route, stopped: { at: 'identity', finding: unknown(route.program, what, mend) } };
}

function lookAtGreeting(greeting: Greeting): Looked {
  if ('trouble' in greeting) return { findings: [greeting.trouble] };
  return { findings: greeting.finding === undefined ? [] : [greeting.finding] };
}

function isAnyHere(programs: readonly Program[]): Looked {
  if (programs.some(({ isHere }) => isHere)) return { findings: [] };
  const mend = 'run this on a host that pulls images; its programs are looked for in their usual places';
  return { findings: [wrong('this host', 'has no dockerd, containerd or podman', mend)] };
}

function isConfigured(program: Program | undefined): Looked {
  if (program === undefined || !program.isHere) return { skipped: 'it is not on this host' };
  const { name, routes, findings, mend } = program;
  if (routes.length > 0 || findings.length > 0) return { findings };
  return { findings: [wrong(name, 'is not configured for the mirror, and asks the Hub itself', mend)] };
}

function whatStopped(step: ProbeStep, probes: readonly ProbePull[] | undefined): Looked {
  if (probes === undefined) return { skipped: 'the mirror cannot be reached' };
  if (probes.length === 0) return { skipped: 'nothing here leads to the mirror' };
  const findings = probes.flatMap(({ stopped }) => (stopped?.at === step ? [stopped.finding] : []));
  const subjects = probes.flatMap(({ route, subject }) =>
    subject === undefined ? [] : [`${route.program} is ${subject} to the mirror`],
  );
  const unverified = probes.flatMap(({ route }) =>
    route.isUnverified === true ? [`${route.program} does not verify the mirror’s certificate`] : [],
  );
  const said = { identity: subjects, trust: unverified, 'client certificate': [], pull: [] }[step];
  return { findings, ...(said.length > 0 && { said: said.join('; ') }) };
}

/** Finds programs that ask the Hub when the mirror refuses or fails, and that could be told not to. */
function fallback(programs: readonly Program[]): Looked {
  const routes = programs.filter(({ isHere }) => isHere).flatMap((program) => program.routes);
  const findings = routes.flatMap(({ program, file, closeBy }) =>
    closeBy === undefined
      ? []
      : [wrong(file, `lets ${program} go to the Hub when the mirror refuses or fails`, `write ${closeBy}`)],
  );
  return { findings };
}

async function lookAtPodTokens(files: HostFiles, mirror: ProbedMirror): Promise<Looked> {
  try {
    return { findings: await podTokenFindings(files, mirror) };
  } catch (error) {
    if (!(error instanceof UnreadableSettings)) throw error;
    return { findings: [wrong(error.file, `cannot be read: ${error.message}`, 'mend it')] };
  }
}

/**
 * Checks whether this host reaches the Hub. A refusal of the mirror stops a pull only if there is no other
 * way.
 */
async function wayAround({ hub }: ClientOptions): Promise<Looked> {
  const reached = await Promise.all(
    hub.map(async (peer) => {
      const isOpen = await handshake(peer).then(
        () => true,
        () => false,
      );
      return isOpen ? [`${peer.host}:${peer.port}`] : [];
    }),
  );
  const open = reached.flat();
  if (open.length === 0) return { findings: [] };
  const mend = 'close it in the firewall for this host: dockerd and others go there when the mirror refuses';
  return { findings: [wrong('this host', `reaches Docker Hub itself (${open.join(', ')})`, mend)] };
}
