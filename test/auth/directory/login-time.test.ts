/** Neither the answer to a wrong password nor its cost tells whether the name is in the users file. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { askAuth } from '../../support/ask-auth.ts';
import { withMirror } from '../../support/with-mirror.ts';

/** A hash costs much more than everything else of a login. */
const COSTLY = { memory: 2 ** 26, passes: 8 };
const OIDC = { issuer: 'http://127.0.0.1:1', clientId: 'hubgate' };

/** Something in the place of a directory, which ends every connection. */
async function startSilentDirectory() {
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    socket.destroy();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `ldap://127.0.0.1:${port}`,
    connections: () => connections,
    [Symbol.asyncDispose]: async () => {
      server.close();
      await once(server, 'close');
    },
  };
}

/** Returns the microseconds of CPU that a task takes in this process, where all roles run. */
async function costOf(task: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await task();
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

test('invariant 14: a wrong password gets the same answer for every name, for the same work', async (t) => {
  await using directory = await startSilentDirectory();
  const ldap = { url: directory.url, people: 'ou=people,dc=corp', passwords: 'everywhere' };
  const { hubgate } = await withMirror(t, {
    policy: 'allow: []',
    passwords: COSTLY,
    configuration: { login: { corp: { ldap } } },
  });
  const ask = async (user: string, password: string) => {
    const { status, body } = await hubgate.ask('/token', { user, password });
    return `${status} ${body}`;
  };
  const costs: Record<string, number> = {};
  const answers = new Set<string>();
  const questions: number[] = [];
  for (const [name, password] of [
    ['ana', 'wrong'],
    ['nobody', 'wrong'],
  ] as const) {
    const before = directory.connections();
    costs[name] = await costOf(async () => answers.add(await ask(name, password)));
    questions.push(directory.connections() - before);
  }
  assert.ok(questions[0] !== 0 && questions[0] === questions[1], questions.join());
  for (const [name, password] of [
    // The second answer to the same guess, and passwords that no directory is asked about.
    ['ana again', 'wrong'],
    ['ana', ''],
    ['nobody', ''],
  ] as const)
    costs[`${name} ${password}`] = await costOf(async () =>
      answers.add(await ask(name.split(' ')[0] ?? '', password)),
    );
  assert.deepEqual([...answers].length, 1, [...answers].join('\n'));
  assert.match([...answers].join(), /^503 .*the directory corp does not answer/);
  const most = Math.max(...Object.values(costs));
  for (const [name, cost] of Object.entries(costs))
    assert.ok(cost > most / 3, `${name}: ${JSON.stringify(costs)}`);
  // Whoever is in the users file needs no directory.
  assert.equal((await hubgate.ask('/token', { user: 'ana' })).status, 200);
});

test('invariant 14: on the account page a name costs the same if its owner would log in at a provider', async (t) => {
  const { hubgate } = await withMirror(t, {
    policy: 'allow: []',
    passwords: COSTLY,
    configuration: { login: { corp: { oidc: OIDC } } },
  });
  const costs: number[] = [];
  for (const name of ['ana', 'nobody']) {
    const presented = { kind: 'password', name, password: 'wrong', address: '10.1.1.1' };
    costs.push(
      await costOf(async () => {
        const { status, body } = await askAuth(hubgate.paths.authSocket, '/session', presented);
        assert.deepEqual([status, body.error], [400, 'BAD_CREDENTIALS']);
      }),
    );
  }
  assert.ok(Math.min(...costs) > Math.max(...costs) / 3, JSON.stringify(costs));
});
