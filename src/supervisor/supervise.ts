/**
 * Starts the roles, restarts those that die, and ends them in an order in which none loses a role that it
 * needs. It knows processes; it must not know what a role does.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../platform/log.ts';
import { messageOf } from '../platform/reason.ts';
import { RESTARTS, STOP_DEADLINE } from './limits.ts';
import type { RoleProcess } from './role-process.ts';

export interface RolePlan {
  readonly name: string;
  /** True if the others serve without it. Its start is not waited for, and its failure stops nobody. */
  readonly isOptional?: boolean;
  spawn(): RoleProcess;
}

export interface Supervision {
  /** Ends all roles, beginning with the last ones of the plan. */
  stop(): Promise<void>;
  /** Makes all roles read their files again. */
  reload(): void;
}

/**
 * Starts the roles of `plans`, in which a role comes after those that it needs. Optional ones are started
 * when the others serve.
 *
 * @throws if one of the others cannot be started for the first time; then none is left running
 */
export async function supervise(plans: readonly RolePlan[], log: Logger): Promise<Supervision> {
  const processes = plans.map((plan) => new SupervisedProcess(plan, log));
  const stop = async () => {
    // All processes give up first, so that none restarts a role that ends on its own meanwhile.
    for (const one of processes) one.giveUp();
    for (const one of processes.toReversed()) await one.stop();
  };
  try {
    await Promise.all(processes.filter((one) => !one.isOptional).map((one) => one.start()));
  } catch (error) {
    await stop();
    throw error;
  }
  for (const one of processes) if (one.isOptional) one.startAnyway();
  const reload = () => {
    for (const one of processes) one.reload();
  };
  return { stop, reload };
}

/** Keeps one role running. */
class SupervisedProcess {
  readonly #plan: RolePlan;
  readonly #log: Logger;
  readonly #stopping = new AbortController();
  #process: RoleProcess | undefined;
  #supervision: Promise<void> | undefined;

  constructor(plan: RolePlan, log: Logger) {
    this.#plan = plan;
    this.#log = log;
  }

  get isOptional(): boolean {
    return this.#plan.isOptional ?? false;
  }

  /** Starts the role, and starts it again for as long as it fails. */
  startAnyway(): void {
    const running = this.#plan.spawn();
    this.#process = running;
    running.ready.catch((error: Error) =>
      this.#log.error({ role: this.#plan.name, reason: error.message }, 'a role cannot start'),
    );
    this.#supervision = this.#restartUntilStopped(running);
  }

  async start(): Promise<void> {
    this.#process = this.#plan.spawn();
    try {
      await this.#process.ready;
    } catch (error) {
      throw new Error(`${this.#plan.name} cannot start: ${messageOf(error)}`, { cause: error });
    }
    this.#supervision = this.#restartUntilStopped(this.#process);
  }

  async #restartUntilStopped(first: RoleProcess): Promise<void> {
    let running = first;
    let pause = RESTARTS.firstPause;
    for (;;) {
      const started = performance.now();
      const how = await running.ended;
      if (this.#stopping.signal.aborted) return;
      pause = performance.now() - started > RESTARTS.stableAfter ? RESTARTS.firstPause : pause;
      this.#log.error(
        { role: this.#plan.name, pid: running.pid, how, pause },
        'a role ended; starting it again',
      );
      await delay(pause, undefined, { signal: this.#stopping.signal }).catch(() => {});
      if (this.#stopping.signal.aborted) return;
      pause = Math.min(pause * 2, RESTARTS.longestPause);
      running = this.#plan.spawn();
      this.#process = running;
      const { ready, pid } = running;
      ready.then(
        () => this.#log.info({ role: this.#plan.name, pid }, 'the role serves again'),
        (error: Error) =>
          this.#log.error({ role: this.#plan.name, reason: error.message }, 'a role cannot start'),
      );
    }
  }

  reload(): void {
    this.#process?.reload();
  }

  giveUp(): void {
    this.#stopping.abort();
  }

  async stop(): Promise<void> {
    const running = this.#process;
    if (running === undefined) return;
    // A role that was never ready may be waiting for another one that cannot start.
    if (this.#supervision === undefined) running.kill();
    else running.stop();
    const late = setTimeout(() => running.kill(), STOP_DEADLINE);
    await running.ended;
    clearTimeout(late);
    await this.#supervision;
  }
}
