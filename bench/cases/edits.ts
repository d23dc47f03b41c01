import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ask } from '../../test/support/http.ts';
import type { Bench, CaseGroup } from '../bench.ts';
import { takeLoopDelays } from '../event-loops.ts';
import { cpuSeconds } from '../process-tree.ts';
import { HUBGATE, type HubgateServer, policyText, startBenchHubgate, USER } from '../servers/hubgate.ts';

/** The numbers of rules and of users. */
const SIZES = [1_000, 10_000];
const QUICK_SIZES = [1_000];
/**
 * In milliseconds. Each request has its own connection, so more requests would become the load that is
 * measured.
 */
const ASK_EVERY = 25;
/** After this many answers in a row, both gateways have answered. */
const IN_A_ROW = 12;
/** In milliseconds. */
const GIVE_UP = 60_000;

/** A file to write, and the answer of a mirror that has read it. */
interface Edit {
  readonly name: string;
  readonly file: 'access.yaml' | 'users.yaml';
  readonly text: string;
  readonly target: string;
  readonly shows: RegExp;
}

/** Measures how long after a write an edit takes effect, and whom it delays. */
export const EDITS: CaseGroup = {
  name: 'edits',
  title: 'Edits of many rules, and of many users',
  rounds: { full: 5, quick: 1 },
  async run(bench) {
    if (!bench.settings.kinds.includes(HUBGATE)) return;
    for (const size of bench.settings.quick ? QUICK_SIZES : SIZES) await measureEdits(bench, size);
  },
};

async function measureEdits(bench: Bench, size: number): Promise<void> {
  const sizes = { rules: size, users: size };
  await using server = await startBenchHubgate({ ...(await bench.options([])), ...sizes });
  const policy = policyText(sizes);
  const users = manyUsers(await readFile(fileOf(server, 'users.yaml'), 'utf8'), size);
  await writeFile(fileOf(server, 'users.yaml'), users);
  const authorization = (await server.authorization()) ?? '';
  // The first round runs code that is not compiled yet, which happens once after a start.
  for (let round = 0; round <= bench.rounds; round++) {
    const first = round === 0 ? ', the first' : '';
    for (const edit of [...editsOfPolicy(policy, round), disabling(users)]) {
      const name = `${edit.name} of ${size.toLocaleString('en')}${first}`;
      bench.record(name, server.name, await measure(bench, server, edit, authorization));
    }
    // The result is not recorded: a gateway asks auth at once about an unknown credential, so this does not
    // measure the wait for a change.
    await measure(bench, server, enabling(users), authorization);
  }
}

function editsOfPolicy(policy: string, round: number): Edit[] {
  const edit = (name: string, text: string): Edit => {
    const because = `${name.replaceAll(' ', '-')}-${round}`;
    const deny = `{ pull: library/old, to: authenticated, because: ${because} }`;
    const edited = text.replace('\ndeny:', `\ndeny:\n  - ${deny}`);
    const target = '/v2/library/old/manifests/1';
    return { name, file: 'access.yaml', text: edited, target, shows: new RegExp(`\\b${because}\\b`) };
  };
  let number = 0;
  const renamed = policy.replaceAll('- { pull', () => `- { id: r${round}-${number++}, pull`);
  return [edit('one rule', policy), edit('all rules', renamed)];
}

function disabling(users: string): Edit {
  const text = users.replace(`\n  ${USER}:`, `\n  ${USER}:\n    disabled: true`);
  return { name: 'one user', file: 'users.yaml', target: '/v2/', text, shows: /UNAUTHORIZED/ };
}

function enabling(users: string): Edit {
  return { name: 'the same user again', file: 'users.yaml', target: '/v2/', text: users, shows: /^\{\}$/ };
}

/** Adds users who all have the password of the existing one. */
function manyUsers(text: string, count: number): string {
  const [, entry = ''] = new RegExp(`\\n  ${USER}:\\n((?:    .*\\n)+)`).exec(text) ?? [];
  const names = Array.from({ length: count }, (_, index) => `u${index}`);
  return text + names.map((name) => `  ${name}:\n${entry}`).join('');
}

function fileOf({ home }: HubgateServer, file: Edit['file']): string {
  return path.join(home, 'config', file);
}

async function measure(
  bench: Bench,
  server: HubgateServer,
  { name, file, text, target, shows }: Edit,
  authorization: string,
): Promise<Record<string, number>> {
  bench.settings.stopping.throwIfAborted();
  await takeLoopDelays(server);
  const before = cpuSeconds(server.pid);
  await writeFile(fileOf(server, file), text);
  const written = performance.now();
  let last = written;
  for (let row = 0; row < IN_A_ROW; row++) {
    const asked = performance.now();
    const request = { tls: true, host: 'localhost', port: server.port, path: target, agent: false };
    const { body } = await ask({ ...request, headers: { authorization }, rejectUnauthorized: false });
    if (!shows.test(body.toString())) {
      row = -1;
      last = asked;
    }
    if (asked - written > GIVE_UP) throw new Error(`${name}: ${body} after ${GIVE_UP} ms`);
    await delay(ASK_EVERY);
  }
  const loops = [...(await takeLoopDelays(server))].map(([role, { max }]) => [`${role} loop max ms`, max]);
  return {
    'holds after ms': last - written,
    'CPU s': cpuSeconds(server.pid) - before,
    ...Object.fromEntries(loops),
  };
}
