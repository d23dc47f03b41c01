/**
 * Tests commands that a user without permission runs: they must say which user may run them, and name
 * familiar files.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { openAuthState } from '../../src/auth/state/sqlite-state.ts';
import { explainError } from '../../src/launch/explain-error.ts';

const RUN = path.join(import.meta.dirname, 'support/terminal.ts');
/** The users `daemon` and `nobody`, which every Linux has. */
const SERVICE = 1;
const NOBODY = 65534;
const skip = process.getuid?.() !== 0 && 'only root can run something as another user';

let home: string;

before(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'hubgate-other-'));
  if (skip) return;
  const at = (name: string) => path.join(home, name);
  for (const directory of ['config', 'state', 'run/core', 'run/auth', 'certs'])
    await mkdir(at(directory), { recursive: true });
  await writeFile(at('config/hubgate.yaml'), '');
  await writeFile(at('config/users.yaml'), 'users: {}\n', { mode: 0o600 });
  await writeFile(at('config/access.yaml'), 'version: 1\n...\n');
  await writeFile(at('state/audit.log'), '', { mode: 0o640 });
  await openAuthState(at('state/auth.db'))[Symbol.asyncDispose]();
  for (const name of ['', 'config', 'state', 'run', 'run/core', 'run/auth', 'certs', 'config/users.yaml'])
    await chown(at(name), SERVICE, SERVICE);
  await chmod(home, 0o755);
  await chmod(at('config'), 0o755);
  for (const name of ['state', 'run', 'certs']) await chmod(at(name), 0o750);
});

after(() => rm(home, { recursive: true }));

/** What one process of nobody's prints for each of the verbs; undefined if it may not read this checkout. */
async function asNobody(verbs: readonly (readonly string[])[]) {
  const program = `const { runVerb } = await import(${JSON.stringify(RUN)});
    const ran = [];
    for (const verb of ${JSON.stringify(verbs)})
      ran.push(await runVerb([...verb, '--home', ${JSON.stringify(home)}]));
    process.stdout.write(JSON.stringify(ran));`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    ...{ cwd: '/', uid: NOBODY, gid: NOBODY, env: {} },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exit = once(child, 'exit');
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = await exit;
  if (/Cannot find module/.test(stderr)) return undefined;
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout) as { code: number; stdout: string; stderr: string }[];
}

const VERBS: readonly (readonly string[])[] = [
  ['upstream'],
  ['cache', 'stats'],
  ['cache', 'list'],
  ['cache', 'purge', 'alpine'],
  ['warm', 'alpine'],
  ['audit'],
  ['access', 'unused'],
  ['user', 'add', 'ana', '--service'],
  ['user', 'list'],
  ['user', 'remove', 'ana'],
  ['token', 'list'],
  ['token', 'create', 'ana'],
  ['token', 'revoke', 'x'],
  ['cert', 'list'],
  ['cert', 'issue', 'node-7', '--out', '/tmp/hubgate-not-made'],
  ['keys', 'rotate'],
  ['check'],
  ['doctor'],
  ['backup', '/tmp/hubgate-not-made'],
];

/**
 * What says nothing to those who read it. Of an upstream that no DNS knows, its error is what administrators
 * search for.
 */
const LEAKS =
  /\bE(?!NOTFOUND|AI_AGAIN)[A-Z]{3,}\b|\.tmp\b|\.lock\b|scandir|unlink|\bat .*:\d+:\d+|no core runs here|has no mirror that runs/;

const ADVICE = /daemon \(the service's user\) or root: sudo -u daemon|run this as user 1, or as root/;

test('whoever may not run a verb is told who must, and no error number or temporary file', {
  skip,
}, async (t) => {
  const server = createServer().listen(path.join(home, 'run/core/core.sock'));
  await once(server, 'listening');
  t.after(() => server.close());
  const ran = await asNobody(VERBS);
  if (ran === undefined) return t.skip('nobody may not read this checkout');
  assert.equal(ran.length, VERBS.length);
  for (const [at, { code, stdout, stderr }] of ran.entries()) {
    const printed = stdout + stderr;
    assert.notEqual(code, 0, `${VERBS[at]}: ${printed}`);
    assert.doesNotMatch(printed, LEAKS, `${VERBS[at]}`);
    assert.match(printed, ADVICE, `${VERBS[at]}`);
  }
});

test('a failure names the file that people know, what was attempted, and the reason in words', () => {
  const failure = (code: string, syscall: string, file: string) =>
    Object.assign(new Error(`${code}: x, ${syscall} '${file}'`), { code, syscall, path: file });
  const explain = (error: Error) => explainError(error, '/nowhere');
  const users = '/home/config/users.yaml';
  assert.equal(
    explain(failure('ENOSPC', 'open', `${users}.lock.e3eb655fedb6.tmp`)),
    `${users} cannot be written: the disk is full`,
  );
  assert.equal(
    explain(failure('EROFS', 'open', `${users}.0123456789ab.tmp`)),
    `${users} cannot be written: the file system is read-only`,
  );
  assert.match(
    explain(failure('EACCES', 'scandir', '/home/state')),
    /^\/home\/state cannot be listed: permission denied; run this as /,
  );
  assert.equal(
    explain(new Error('the state cannot be used', { cause: failure('ENOTDIR', 'mkdir', '/home/state') })),
    '/home/state cannot be made: what is above it is no directory',
  );
  assert.equal(explain(new Error('something else')), 'something else');
});
