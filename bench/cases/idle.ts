import { setTimeout as delay } from 'node:timers/promises';
import type { CaseGroup } from '../bench.ts';
import { MIB } from '../content.ts';
import { memoryOf } from '../process-tree.ts';

/** In milliseconds. After this time, the after-effects of a start have settled. */
const SETTLE = 10_000;
const QUICK_SETTLE = 2_000;

/** Measures the memory of servers that have just been started and get no requests, process by process. */
export const IDLE: CaseGroup = {
  name: 'idle',
  title: 'Idle memory',
  rounds: { full: 1, quick: 1 },
  async run(bench) {
    await using stack = new AsyncDisposableStack();
    const servers = await bench.startAll([], stack);
    await delay(bench.settings.quick ? QUICK_SETTLE : SETTLE);
    for (const { name, pid } of servers) {
      const processes = memoryOf(pid);
      const tree = processes.reduce((total, { pss }) => total + pss, 0);
      const each = new Map<string, number>();
      const counts = new Map<string, number>();
      for (const one of processes) {
        const count = (counts.get(one.name) ?? 0) + 1;
        counts.set(one.name, count);
        each.set(`${one.name}${count === 1 ? '' : ` ${count}`} MiB`, one.pss / MIB);
      }
      bench.record('idle', name, { 'tree MiB': tree / MIB, ...Object.fromEntries(each) });
    }
  },
};
