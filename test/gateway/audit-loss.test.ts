/** Tests the audit log while it cannot be written: invariant 20. */
import assert from 'node:assert/strict';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { openAudit } from '../../src/gateway/audit/audit.ts';
import type { ClientAddress } from '../../src/gateway/http/client-address.ts';
import { AUDIT_ON_FULL } from '../../src/platform/audit-on-full.ts';
import type { AuditLine } from '../../src/protocol/audit-line.ts';
import { makeFullFifo } from '../support/full-fifo.ts';
import { imageOf } from '../support/image.ts';
import { scrape } from '../support/scrape.ts';
import { SmallDisk } from '../support/small-disk.ts';
import { type LoggedLine, testLog } from '../support/test-log.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';

const lineOf = (number: number): AuditLine => ({
  ...{
    action: 'pull',
    subject: 'user:ana',
    credential: 'pw_1',
    address: '10.1.1.1' as ClientAddress,
    method: 'GET',
  },
  ...{ repository: `docker.io/${'x'.repeat(200)}`, decision: 'allow', status: 200, milliseconds: number },
});

async function directoryOf(t: TestContext): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-audit-'));
  t.after(() => rm(directory, { recursive: true }));
  return directory;
}

/** Creates a FIFO that accepts nothing until it is read. */
async function fullFifo(t: TestContext) {
  const file = path.join(await directoryOf(t), 'audit.fifo');
  const reader = await makeFullFifo(file);
  t.after(() => reader.close());
  return { file, reader };
}

/** The numbers of the lines, and how many are said to be lost. */
function parse(text: string) {
  const lines = text.split('\n').flatMap((line) => {
    try {
      return [JSON.parse(line) as Record<string, unknown>];
    } catch {
      return [];
    }
  });
  return {
    numbers: lines.flatMap(({ action, milliseconds }) => (action === 'pull' ? [Number(milliseconds)] : [])),
    lost: lines.reduce((sum, { action, count }) => sum + (action === 'lost' ? Number(count) : 0), 0),
  };
}

const lostIn = (log: readonly LoggedLine[]) =>
  log.reduce((sum, { msg, lines }) => sum + (msg === 'audit lines were lost' ? Number(lines) : 0), 0);

test('invariant 20: lines for which a file that takes nothing has no room are counted, logged and recorded', async (t) => {
  const { file, reader } = await fullFifo(t);
  const log: LoggedLine[] = [];
  const audit = openAudit({ file, onFull: 'drop', log: testLog(log) });
  const count = 20_000;
  for (let number = 0; number < count; number++) audit(lineOf(number));
  const { lost, waiting } = audit.state();
  assert.ok(lost > 0 && lost < count, `${lost}`);
  assert.ok(waiting <= 4 * 2 ** 20);
  await waitFor(() => audit.state().trouble !== undefined);
  const chunk = Buffer.alloc(64 * 1024);
  let text = '';
  while (!text.includes('"action":"lost"'))
    text += chunk.toString('utf8', 0, (await reader.read(chunk)).bytesRead);
  const found = parse(text);
  assert.deepEqual(
    found.numbers,
    Array.from({ length: count - lost }, (_, at) => at),
  );
  assert.equal(found.lost, lost);
  await waitFor(() => audit.state().waiting === 0);
  await audit[Symbol.asyncDispose]();
  assert.equal(lostIn(log), lost);
  assert.equal(audit.state().trouble, undefined);
});

test('invariant 20: a full disk loses no line that there is room for in memory, and tears none', async (t) => {
  await using disk = await SmallDisk.make('1m');
  if (disk === undefined) return t.skip('no file system can be mounted here');
  const file = path.join(disk.directory, 'audit.log');
  const log: LoggedLine[] = [];
  // Two gateways write one file.
  const audits = [0, 1].map(() => openAudit({ file, onFull: 'wait', log: testLog(log) }));
  let number = 0;
  const record = (count: number) => {
    for (let at = 0; at < count; at++) for (const audit of audits) audit(lineOf(number++));
  };
  record(10);
  await waitFor(() => audits.every((audit) => audit.state().waiting === 0));
  await disk.fill();
  record(1000);
  await waitFor(() => audits.every((audit) => audit.state().trouble?.includes('ENOSPC')));
  // The rest of the last page, and then some more: what is written is written in part.
  await disk.free();
  await waitFor(() => audits.every((audit) => audit.state().waiting === 0));
  record(10);
  for (const audit of audits) await audit[Symbol.asyncDispose]();
  const { numbers, lost } = parse(await readFile(file, 'utf8'));
  assert.equal(lost, 0);
  assert.deepEqual(
    numbers.sort((one, other) => one - other),
    Array.from({ length: number }, (_, at) => at),
  );
  const said = log.map(({ msg }) => msg);
  assert.deepEqual(said.filter((msg) => msg === 'the audit log cannot be written').length, 2);
  assert.deepEqual(said.filter((msg) => msg === 'the audit log can be written again').length, 2);
});

test('a gateway that met no full disk does not continue the line of one that did', async (t) => {
  const file = path.join(await directoryOf(t), 'audit.log');
  await using audit = openAudit({ file, onFull: 'wait', log: testLog([]) });
  audit(lineOf(0));
  await waitFor(() => audit.state().waiting === 0);
  await using other = await open(file, 'a');
  await other.write('{"level":30,"action":"pull","millisec');
  // Nothing was written for a while.
  await delay(150);
  audit(lineOf(1));
  await waitFor(() => audit.state().waiting === 0);
  assert.deepEqual(parse(await readFile(file, 'utf8')).numbers, [0, 1]);
});

test('a line that was written in part is written again, on a line of its own', async (t) => {
  const file = path.join(await directoryOf(t), 'audit.log');
  await using before = await open(file, 'w');
  // As a process leaves it that was killed.
  await before.write('{"level":30,"action":"pull","millisec');
  const audit = openAudit({ file, onFull: 'wait', log: testLog([]) });
  audit(lineOf(1));
  await audit[Symbol.asyncDispose]();
  assert.deepEqual(parse(await readFile(file, 'utf8')).numbers, [1]);
});

test('invariant 20: lines that are left at the end are lost, and the log says so', async (t) => {
  const { file } = await fullFifo(t);
  const log: LoggedLine[] = [];
  const audit = openAudit({ file, onFull: 'wait', log: testLog(log) });
  for (let number = 0; number < 10; number++) audit(lineOf(number));
  await audit[Symbol.asyncDispose]();
  audit(lineOf(10));
  assert.equal(lostIn(log), 11);
});

test('log.auditOnFull says what becomes of requests while lines cannot be written', async (t) => {
  for (const auditOnFull of AUDIT_ON_FULL) {
    const { file, reader } = await fullFifo(t);
    await using mirror = await withMirror(t, {
      policy: 'allow: [{ pull: library/**, to: ana }]',
      configuration: { log: { audit: file, auditOnFull } },
      images: { 'library/alpine': imageOf() },
    });
    const { hubgate } = mirror;
    const statusOf = async (target: string) => (await hubgate.ask(target, { user: 'ana' })).status;
    const pull = () => statusOf('/v2/library/alpine/manifests/latest');
    const readyz = async () => {
      const answer = await fetch(`http://127.0.0.1:${hubgate.adminPort}/readyz`);
      return { status: answer.status, audit: ((await answer.json()) as { audit: object }).audit };
    };
    assert.equal(await pull(), 200);
    await waitFor(async () => 'error' in (await readyz()).audit);
    assert.equal(await pull(), auditOnFull === 'refuse' ? 503 : 200);
    assert.equal(await statusOf('/v2/'), auditOnFull === 'refuse' ? 503 : 200);
    assert.equal(await statusOf('/healthz'), 200);
    const { status, audit } = await readyz();
    assert.equal(status, auditOnFull === 'refuse' ? 503 : 200);
    assert.deepEqual(
      { ...audit, waiting: 0 },
      {
        ready: auditOnFull !== 'refuse',
        waiting: 0,
        lost: 0,
        error: 'the file takes no lines',
      },
    );
    const metrics = await scrape(hubgate.adminPort);
    assert.ok((metrics.value('hubgate_audit_waiting_bytes') ?? 0) > 0);
    assert.equal(metrics.value('hubgate_audit_lines_lost_total'), 0);
    // It is read again.
    const chunk = Buffer.alloc(64 * 1024);
    for (let text = ''; !text.includes('"action":"pull"'); )
      text = chunk.toString('utf8', 0, (await reader.read(chunk)).bytesRead);
    await waitFor(async () => (await pull()) === 200);
    await waitFor(async () => !('error' in (await readyz()).audit));
  }
});

test('with wait, requests wait for a file that is slow, and not for one that takes nothing', async (t) => {
  const { file, reader } = await fullFifo(t);
  const audit = openAudit({ file, onFull: 'wait', log: testLog([]) });
  assert.equal(audit.mayBegin(), true);
  for (let number = 0; audit.state().waiting < 2 * 2 ** 20; number++) audit(lineOf(number));
  const waiting = audit.mayBegin();
  assert.ok(waiting instanceof Promise);
  let hasBegun = false;
  void waiting.then(() => {
    hasBegun = true;
  });
  await waitFor(() => audit.state().trouble !== undefined);
  assert.equal(hasBegun, false);
  const chunk = Buffer.alloc(64 * 1024);
  // A few are read, and there is room.
  while (audit.state().waiting >= 2 * 2 ** 20) await reader.read(chunk);
  assert.equal(await waiting, true);
  // It takes nothing any more: soon nobody waits. What the pipe still takes leaves more than enough to wait
  // for.
  let last = 1_000_000;
  while (audit.state().waiting < 3 * 2 ** 20) audit(lineOf(++last));
  assert.ok(audit.mayBegin() instanceof Promise);
  await waitFor(() => audit.mayBegin() === true);
  assert.ok(audit.state().waiting > 2 * 2 ** 20);
  // A read of the empty pipe would wait for ever.
  for (let text = ''; !text.includes(`"milliseconds":${last}}`); )
    text = text.slice(-100) + chunk.toString('utf8', 0, (await reader.read(chunk)).bytesRead);
  await waitFor(() => audit.state().waiting === 0);
  await audit[Symbol.asyncDispose]();
  assert.equal(audit.state().lost, 0);
});

test('no character of a line can command the terminal that shows it', async (t) => {
  const file = path.join(await directoryOf(t), 'audit.log');
  const audit = openAudit({ file, onFull: 'wait', log: testLog([]) });
  const rules = ['del \x7f', 'c1 \x9b2J', 'bidirectional \u202e', 'control \x1b', 'plain', 'größe'];
  for (const rule of rules) audit({ ...lineOf(1), rule });
  await audit[Symbol.asyncDispose]();
  const text = await readFile(file, 'utf8');
  assert.doesNotMatch(text, /[^\P{Cc}\n]|\p{Cf}/u);
  const written = text.trimEnd().split('\n');
  assert.deepEqual(
    written.map((line) => JSON.parse(line).rule),
    rules,
  );
});
