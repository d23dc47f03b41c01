import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { z } from 'zod';

/** What a supervisor says to a role over the channel between them, and what it hears. */
type Order = { readonly settings: Settings } | { readonly stop: true };
type Report = { readonly ready: true } | { readonly failed: string };

type Settings = Readonly<Record<string, string>>;

const ORDER = z.union([
  z.object({ settings: z.record(z.string(), z.string()) }),
  z.object({ stop: z.literal(true) }),
]);
const REPORT = z.union([z.object({ ready: z.literal(true) }), z.object({ failed: z.string() })]);

/** A role in a process of its own, from its start to its end. */
export interface RoleProcess {
  readonly pid: number | undefined;
  /** Resolves when it serves; rejects with its own words where it ends before. */
  readonly ready: Promise<void>;
  /** Resolves when it has ended, with how. */
  readonly ended: Promise<string>;
  /** Asks it to drain and end. */
  stop(): void;
  kill(): void;
}

/** Wraps a child that was just started. Its settings reach it over the channel: an environment can be read by others. */
export function roleProcess(child: ChildProcess, settings: Settings): RoleProcess {
  const order = (message: Order) => {
    // A child that is gone already says so by its exit.
    if (child.connected) child.send(message, () => {});
  };
  order({ settings });
  const ended = once(child, 'exit').then(([code, signal]) => signal ?? `exit code ${code}`);
  return {
    pid: child.pid,
    ready: readiness(child, ended),
    ended,
    stop: () => order({ stop: true }),
    kill: () => child.kill('SIGKILL'),
  };
}

async function readiness(child: ChildProcess, ended: Promise<string>): Promise<void> {
  const report = once(child, 'message').then(([message]) => REPORT.parse(message));
  const first = await Promise.race([report, ended]);
  if (typeof first === 'string') throw new Error(`it ended with ${first}`);
  if ('failed' in first) throw new Error(first.failed);
}

/** The role's side of the same channel. */
export interface Supervisor {
  readonly settings: Promise<Settings>;
  /** Resolves when the supervisor wants the role to end, or has ended itself. */
  readonly stopped: Promise<void>;
  report(report: Report): void;
}

export function followSupervisor(): Supervisor {
  const settings = Promise.withResolvers<Settings>();
  const stopped = Promise.withResolvers<void>();
  process.on('message', (message) => {
    const order = ORDER.parse(message);
    if ('settings' in order) settings.resolve(order.settings);
    else stopped.resolve();
  });
  process.once('disconnect', stopped.resolve);
  return { settings: settings.promise, stopped: stopped.promise, report: (report) => process.send?.(report) };
}
