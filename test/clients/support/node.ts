import assert from 'node:assert/strict';
import type { Result } from '../../e2e/support/process.ts';
import type { Daemon } from './daemons.ts';
import type { Machine, PrintedKit } from './machine.ts';

/** A machine on which commands run, perhaps beside a daemon. */
export interface Node extends AsyncDisposable {
  readonly machine: Machine;
  run(line: string, options?: LineOptions): Promise<Result>;
  /** @returns the command's output */
  mustRun(line: string, options?: LineOptions): Promise<string>;
  /** @returns the command's output */
  mustFail(line: string, options?: LineOptions): Promise<string>;
}

interface LineOptions {
  readonly stdin?: string;
  readonly programs?: readonly string[];
  readonly seconds?: number;
}

/** A machine that was configured by a kit. */
export interface ConfiguredNode extends Node {
  readonly kit: PrintedKit;
}

export function nodeOf(machine: Machine, { env, programs: own, ...daemon }: Daemon): Node {
  const run = (line: string, { programs = [], ...options }: LineOptions = {}) =>
    machine.shell(line, {
      ...options,
      env,
      programs: [...programs, ...own],
    });
  return {
    ...{ machine, run },
    async mustRun(line, options) {
      const { code, output } = await run(line, options);
      assert.equal(code, 0, `${line}: ${output}`);
      return output;
    },
    async mustFail(line, options) {
      const { code, output } = await run(line, options);
      assert.notEqual(code, 0, `${line}: ${output}`);
      return output;
    },
    async [Symbol.asyncDispose]() {
      await daemon[Symbol.asyncDispose]();
      await machine[Symbol.asyncDispose]();
    },
  };
}

/** Returns the programs and the environment of commands that need no daemon. */
export function withoutDaemon(
  programs: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Daemon {
  return { programs, env, [Symbol.asyncDispose]: async () => {} };
}
