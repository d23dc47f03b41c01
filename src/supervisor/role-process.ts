import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { z } from 'zod';
import { HANGING } from './limits.ts';

/** The messages from a supervisor to a role over the channel between them (`Order`), and back (`Report`). */
type Order =
  | { readonly settings: unknown }
  | { readonly stop: true }
  | { readonly reload: true }
  | { readonly ping: true };
type Report = { readonly ready: true } | { readonly failed: string } | { readonly pong: true };

const ORDER = z.union([
  z.object({ stop: z.literal(true) }),
  z.object({ reload: z.literal(true) }),
  z.object({ ping: z.literal(true) }),
  z.object({ settings: z.json() }),
]);
const REPORT = z.union([
  z.object({ ready: z.literal(true) }),
  z.object({ failed: z.string() }),
  z.object({ pong: z.literal(true) }),
]);

/** A role in a process of its own, from its start to its end. */
export interface RoleProcess {
  readonly pid: number | undefined;
  /** Resolves when the role serves; rejects with the role's own message if it ends before. */
  readonly ready: Promise<void>;
  /** Resolves when the role has ended, with a text that says how. */
  readonly ended: Promise<string>;
  /** Asks the role to drain and end. */
  stop(): void;
  /** Asks the role to read its files again. */
  reload(): void;
  kill(): void;
}

/**
 * Wraps a child that was just started. It receives its settings, which are JSON, over the channel, because
 * others can read an environment.
 */
export function roleProcess(
  child: ChildProcess,
  settings: unknown,
  pingEvery = HANGING.pingEvery,
): RoleProcess {
  const order = (message: Order) => {
    // A child that has ended gets no message. Its exit is reported.
    if (child.connected) child.send(message, () => {});
  };
  order({ settings });
  const ended = Promise.withResolvers<string>();
  let hung = '';
  child.once('exit', (code, signal) => ended.resolve(`${hung}${signal ?? `exit code ${code}`}`));
  // A process that cannot be made has no exit; if it could be made, the exit follows.
  child.once('error', (error) => {
    if (child.pid === undefined) ended.resolve(error.message);
  });
  const kill = () => child.kill('SIGKILL');
  const ready = readiness(child, ended.promise, kill);
  const onHang = () => {
    hung = `no answer to ${HANGING.unanswered} pings in ${(HANGING.unanswered * pingEvery) / 1000} s, therefore `;
    kill();
  };
  ready.then(
    () => pingUntilHung(child, { pingEvery, ping: () => order({ ping: true }), onHang }),
    () => {},
  );
  return {
    pid: child.pid,
    ready,
    ended: ended.promise,
    stop: () => order({ stop: true }),
    reload: () => order({ reload: true }),
    kill,
  };
}

/** Counts pings and does not time them: after a machine has slept, every ping is late. */
function pingUntilHung(
  child: ChildProcess,
  { pingEvery, ping, onHang }: { pingEvery: number; ping: () => void; onHang: () => void },
): void {
  let unanswered = 0;
  child.on('message', () => {
    unanswered = 0;
  });
  const timer = setInterval(() => {
    if (unanswered < HANGING.unanswered) {
      unanswered++;
      return ping();
    }
    clearInterval(timer);
    onHang();
  }, pingEvery);
  timer.unref();
  child.once('exit', () => clearInterval(timer));
}

async function readiness(child: ChildProcess, ended: Promise<string>, kill: () => void): Promise<void> {
  const report = once(child, 'message').then(([message]) => REPORT.parse(message));
  report.catch(() => {});
  const late = setTimeout(kill, HANGING.ready);
  try {
    const first = await Promise.race([report, ended]);
    if (typeof first === 'string') throw new Error(`it ended with ${first}`);
    if ('failed' in first) throw new Error(first.failed);
  } finally {
    clearTimeout(late);
  }
}

/** The role's side of the same channel. */
export interface Supervisor {
  readonly settings: Promise<unknown>;
  /** Resolves when the supervisor wants the role to end, or has ended itself. */
  readonly stopped: Promise<void>;
  /** Called when the role must read its files again. */
  onReload: () => void;
  report(report: Report): void;
}

export function followSupervisor(): Supervisor {
  const settings = Promise.withResolvers<unknown>();
  const stopped = Promise.withResolvers<void>();
  process.on('message', (message) => {
    const order = ORDER.parse(message);
    if ('settings' in order) settings.resolve(order.settings);
    else if ('reload' in order) supervisor.onReload();
    else if ('ping' in order) supervisor.report({ pong: true });
    else stopped.resolve();
  });
  process.once('disconnect', stopped.resolve);
  const supervisor: Supervisor = {
    settings: settings.promise,
    stopped: stopped.promise,
    onReload: () => {},
    // A role that has lost its supervisor meanwhile ends because of that.
    report: (report) => process.send?.(report, () => {}),
  };
  return supervisor;
}
