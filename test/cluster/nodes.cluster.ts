import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { imageOf } from '../support/image.ts';
import { untilTrue } from '../support/until-true.ts';
import { waitFor } from '../support/wait-for.ts';
import { POLICY, policyWithout, pullFrom, TestNodes } from './support/test-nodes.ts';

let cluster: TestNodes;

before(async () => {
  cluster = await TestNodes.start();
  cluster.hub.push('acme/app', 'latest', imageOf());
});

after(() => cluster[Symbol.asyncDispose]());

async function statuses(token: string): Promise<readonly number[]> {
  const all = cluster.nodes.map((node) => pullFrom(node, token, 'acme/app/manifests/latest'));
  return (await Promise.all(all)).map(({ status }) => status);
}

/** All nodes answer a client in the same way within the second of invariant 13. */
async function assertSoon(token: string, isWanted: (status: number) => boolean): Promise<void> {
  const took = await untilTrue(async () => (await statuses(token)).every(isWanted));
  assert.ok(took <= 1_000, `after ${took} ms`);
}

test('a node without files of its own gets the users and the policy of the others', async () => {
  const texts = await Promise.all(
    cluster.nodes.map(({ home }) => readFile(path.join(home, 'config/access.yaml'), 'utf8')),
  );
  assert.deepEqual(new Set(texts), new Set([POLICY]));
  const [first, ...others] = cluster.nodes.map(({ output }) => output);
  assert.match(first ?? '', /The user admin has the password/);
  assert.doesNotMatch(others.join(''), /The user admin has the password/);
});

test('a user who is added on one node logs in on another, and the token counts on every node', async () => {
  await cluster.add('zoe', 1);
  const token = await cluster.login(2, 'zoe');
  assert.deepEqual(await statuses(token), [200, 200, 200]);
});

test('invariant 13: a policy that is edited on one node is in force on all within a second', async () => {
  const token = await cluster.login(0, 'zoe');
  const file = path.join(cluster.node(2).home, 'config/access.yaml');
  await writeFile(file, policyWithout('zoe'));
  await assertSoon(token, (status) => status !== 200);
  await writeFile(file, POLICY);
  await assertSoon(token, (status) => status === 200);
});

test('users who are added on several nodes at the same time are all there', async () => {
  const names = ['ada', 'bob', 'cyd'];
  await Promise.all(names.map((name, index) => cluster.add(name, index)));
  for (const index of cluster.nodes.keys()) for (const name of names) await cluster.login(index, name);
});

test('invariant 13: a user who is disabled on one node is refused on all within a second', async () => {
  const token = await cluster.login(1, 'ada');
  assert.deepEqual(await statuses(token), [200, 200, 200]);
  const { code, output } = await cluster.node(0).run('user', 'disable', 'ada');
  assert.equal(code, 0, output);
  await assertSoon(token, (status) => status === 401);
});

test('`cluster status` names the nodes and what they share', async () => {
  const { code, output } = await cluster.node(1).run('cluster', 'status');
  assert.equal(code, 0, output);
  for (const line of [/^n1 +alive/m, /^n2 +alive/m, /^n3 +alive/m, /^policy: version \d+, edited on n3/m])
    assert.match(output, line);
});

test('the metrics of a cluster are those that the documentation names', async () => {
  const page = await readFile(path.join(import.meta.dirname, '../../docs/monitoring.md'), 'utf8');
  const { body } = await cluster.node(2).admin('/metrics');
  // With an object store there are more: test/cluster/object-kills.cluster.ts.
  const named = (text: string) => new Set(text.match(/\bhubgate_cluster_(?!object|pending_uploads)\w+/g));
  assert.deepEqual(named(String(body)), named(page));
  assert.match(String(body), /^hubgate_cluster_nodes\{[^}]*state="alive"[^}]*\} 3$/m);
});

test('a service token that is made on one node is one on all, and is revoked on all within a second', async () => {
  assert.equal((await cluster.node(0).run('user', 'add', 'ci', '--service')).code, 0);
  const made = await cluster.node(1).run('token', 'create', 'ci', '--expires', '1h', '--json');
  assert.equal(made.code, 0, made.output);
  const { id, token: secret } = JSON.parse(made.output);
  const listed = await cluster.node(2).run('token', 'list');
  assert.match(listed.output, new RegExp(`^${id} `, 'm'));
  const token = await cluster.login(2, 'ci', 'acme/app', secret);
  assert.deepEqual(await statuses(token), [200, 200, 200]);
  const revoked = await cluster.node(0).run('token', 'revoke', id);
  assert.equal(revoked.code, 0, revoked.output);
  await assertSoon(token, (status) => status === 401);
});

test('the database is backed up and restored by the commands that `cluster backup` prints', async (t) => {
  const { code, output } = await cluster.node(1).run('cluster', 'backup', '--json');
  assert.equal(code, 0, output);
  const { backup, restore, nodes } = JSON.parse(output);
  assert.equal(nodes, 3);
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-dump-'));
  t.after(() => rm(directory, { recursive: true }));
  const other = await cluster.server.database();
  const into = restore.replace(`'${cluster.database}'`, `'${other}'`);
  assert.notEqual(into, restore);
  for (const command of [backup, into]) {
    const { status, stderr } = spawnSync('sh', ['-c', command], { cwd: directory, encoding: 'utf8' });
    assert.equal(status, 0, `${command}: ${stderr}`);
  }
  const documents = 'SELECT name, version, text FROM hubgate.shared_document ORDER BY name';
  const restored = cluster.server.run(documents, other);
  assert.equal(restored, cluster.server.run(documents, cluster.database));
  assert.match(restored, /^policy\|/m);
});

test('a node that is drained is not ready, and a node that is gone is forgotten', async () => {
  const drained = await cluster.node(2).run('cluster', 'drain');
  assert.equal(drained.code, 0, drained.output);
  await waitFor(async () => (await cluster.node(2).admin('/readyz')).status === 503);
  assert.equal((await cluster.node(0).admin('/readyz')).status, 200);
  const alive = await cluster.node(0).run('cluster', 'forget', 'n3');
  assert.equal(alive.code, 1);
  assert.match(alive.output, /n3 is alive/);
});

test('the audit log of each node names the node', async () => {
  const token = await cluster.login(1, 'zoe');
  assert.deepEqual(await statuses(token), [200, 200, 200]);
  for (const [index, node] of cluster.nodes.entries())
    await waitFor(async () => {
      const { output } = await node.run('audit', '--json', '--requests', '--subject', 'zoe');
      return output.includes(`"node":"n${index + 1}"`);
    });
});
