import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { program } from '../../src/bin/hubgate.ts';
import { COMPILED } from '../support/compiled.ts';
import { runVerb } from './support/terminal.ts';

const COMMANDS = path.join(import.meta.dirname, '../../src/commands');
const BIN = path.join(import.meta.dirname, '../../src/bin/hubgate.ts');

type Command = ReturnType<typeof program>;

let home: string;

before(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'hubgate-command-line-'));
  await mkdir(path.join(home, 'config'));
  await writeFile(
    path.join(home, 'config/users.yaml'),
    'version: 1\nusers: { ci-pay: { service: true } }\n',
    { mode: 0o600 },
  );
  await writeFile(path.join(home, 'config/access.yaml'), 'version: 1\n...\n');
});

after(() => rm(home, { recursive: true }));

/** Runs a command in a process of its own, elsewhere than in the home. */
function spawned(args: readonly string[], environment: Record<string, string> = {}) {
  const { PATH } = process.env;
  return spawnSync(process.execPath, [BIN, ...args], {
    cwd: tmpdir(),
    env: { PATH, ...COMPILED, ...environment },
    encoding: 'utf8',
  });
}

function everyCommand(
  command: Command,
  above: readonly string[] = [],
): { command: Command; words: string[] }[] {
  return [
    { command, words: [...above] },
    ...command.commands.flatMap((below) => everyCommand(below, [...above, below.name()])),
  ];
}

/** The help of a command, as it would be printed. */
function helpOf(command: Command): string {
  let help = '';
  command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
  return help;
}

test('the help of every verb has examples that parse, and a page of the documentation that exists', () => {
  const all = everyCommand(program(() => {}));
  assert.ok(all.length > 30);
  for (const { command, words } of all) {
    const help = helpOf(command);
    const examples = [...help.matchAll(/^ {2}\$ hubgate (.*)$/gm)].map(([, example = '']) => example);
    assert.ok(examples.length > 0, `hubgate ${words.join(' ')} --help has no example`);
    for (const example of examples) {
      assert.equal(acceptedBy(example), true, example);
      const isOfVerb = words.length === 0 || example.startsWith(words.join(' '));
      assert.ok(isOfVerb, `${example} is no example of ${words.join(' ')}`);
    }
    const [, page = ''] = /^Documentation: (.*)$/m.exec(help) ?? [];
    assert.ok(existsSync(page), `${words.join(' ')}: ${page}`);
  }
});

/** Verbs that have others below them. */
const ALSO_VERBS = new Set(['upstream']);

/** Does Commander take it for a verb with what belongs to it? No verb runs. */
function acceptedBy(example: string): boolean {
  let accepted = false;
  const hubgate = program(() => {});
  for (const { command } of everyCommand(hubgate))
    if (command.commands.length === 0 || ALSO_VERBS.has(command.name()))
      command.action(() => {
        accepted = true;
      });
  const args = [...example.matchAll(/'([^']*)'|(\S+)/g)].map(([, one, other]) => one ?? other ?? '');
  try {
    hubgate.parse(args, { from: 'user' });
  } catch {
    return false;
  }
  return accepted;
}

test('the home is named before the verb, after it, or by HUBGATE_HOME, which is no setting', async () => {
  for (const args of [
    ['--home', home, 'user', 'list', '--json'],
    ['user', '--home', home, 'list', '--json'],
    ['user', 'list', '--json', '--home', home],
    [`--home=${home}`, 'user', 'list', '--json'],
  ]) {
    const { stdout, stderr } = await runVerb(args);
    assert.deepEqual([JSON.parse(stdout)[0].name, stderr], ['ci-pay', ''], args.join(' '));
  }
  const environment = { HUBGATE_HOME: home };
  assert.equal(JSON.parse(spawned(['user', 'list', '--json'], environment).stdout)[0].name, 'ci-pay');
  const check = spawned(['check'], environment);
  assert.deepEqual([check.status, check.stderr], [0, '']);
  const elsewhere = spawned(['user', 'list', '--home', path.join(home, 'config')], environment);
  assert.equal(elsewhere.stdout, 'there are no users yet; to add one: hubgate user add NAME\n');
});

test('a misspelt verb gets a suggestion, and errors name the help of the verb', async () => {
  const cases: [args: string[], said: string[]][] = [
    [['chekc'], ["unknown command 'chekc'", '(Did you mean check?)', '(see hubgate --help)']],
    [
      ['user', 'lsit'],
      ['(Did you mean list?)', '(see hubgate user --help)'],
    ],
    [
      ['user', 'delete', 'ana'],
      ['(Did you mean remove?)', '(see hubgate user --help)'],
    ],
    [
      ['token', 'rm', 'x'],
      ['(Did you mean revoke?)', '(see hubgate token --help)'],
    ],
    [['cert', 'new', 'x'], ['(Did you mean issue?)']],
    [['version'], ['(Did you mean --version?)']],
    [
      ['user', 'add'],
      ["missing required argument 'name'", '(see hubgate user add --help)'],
    ],
    [
      ['token', 'create', '--pull', 'acme/a', 'acme/b', 'ci-pay'],
      ["missing required argument 'owner'", '(--pull takes every word that follows; write OWNER before it)'],
    ],
    [
      ['client-config', 'nope'],
      ['Allowed choices are docker, dockerd,', '(see hubgate client-config --help)'],
    ],
    [['client-config', 'docker'], ['say with --for NAME which node, account or person']],
    [['toString'], ["unknown command 'toString'"]],
  ];
  for (const [args, said] of cases) {
    const { code, stderr } = await runVerb(args);
    assert.equal(code, 2, args.join(' '));
    for (const text of said) assert.ok(stderr.includes(text), `${args.join(' ')}: ${stderr}`);
  }
});

/** What bash offers after `typed`, whose last word is being typed. It splits words at = as readline does. */
function offeredByBash(typed: string, completion: string): string[] {
  const words = typed.split(/ |(?<==)|(?==)/).filter((word, at, all) => word !== '' || at === all.length - 1);
  const script = `
source <(printf %s "$COMPLETION")
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
$(complete -p hubgate | sed 's/.*-F \\([^ ]*\\).*/\\1/')
printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = spawnSync('bash', ['--noprofile', '--norc', '-c', script, 'bash', ...words], {
    cwd: path.join(import.meta.dirname, '../..'),
    env: { PATH: process.env.PATH, COMPLETION: completion },
    encoding: 'utf8',
  });
  assert.equal(stderr, '', typed);
  return stdout.split('\n').filter((line) => line !== '');
}

test('bash completes verbs, sub-commands, options, their values, and files', () => {
  const { stdout } = spawned(['completion', 'bash']);
  const offered = (typed: string) => offeredByBash(typed, stdout);
  const directories = ['src', 'deploy'].map((name) => [`hubgate --home ${name.slice(0, 2)}`, name] as const);
  for (const [typed, name] of directories) assert.ok(offered(typed).includes(name), typed);
  const verbs = offered('hubgate ');
  for (const { name } of program(() => {}).commands.map((command) => ({ name: command.name() })))
    assert.ok(verbs.includes(name), name);
  assert.deepEqual(offered('hubgate us'), ['user']);
  assert.deepEqual(offered('hubgate user re'), ['remove']);
  assert.deepEqual(offered('hubgate --home user token re'), ['revoke']);
  assert.deepEqual(offered('hubgate --home=user token re'), ['revoke']);
  assert.deepEqual(offered('hubgate start --role co'), ['core']);
  assert.deepEqual(offered('hubgate start --role=co'), ['core']);
  assert.deepEqual(offered('hubgate user add ana --pass'), ['--password-stdin']);
  assert.deepEqual(offered('hubgate user add ana --ho'), ['--home']);
  assert.deepEqual(offered('hubgate schema a'), ['access']);
  assert.deepEqual(offered('hubgate client-config containe'), ['containerd']);
  assert.deepEqual(offered('hubgate completion '), ['bash', 'zsh', 'fish']);
  assert.deepEqual(offered('hubgate migrate package.js'), ['package.json']);
  assert.deepEqual(offered('hubgate token create ci --expires '), []);
});

test('every verb that lists is a table with a heading, and says so when there is nothing', async () => {
  const lists = [
    { args: ['token', 'list'], empty: /^there are no tokens and no remembered logins/ },
    { args: ['cert', 'list'], empty: /^no client certificate was issued or revoked/ },
    { args: ['audit'], empty: /^nothing that matches was audited since \S+Z \(.*audit\.log\)\n$/ },
    { args: ['access', 'unused'], empty: /^nothing has been audited since/ },
  ];
  for (const { args, empty } of lists) {
    assert.match((await runVerb([...args, '--home', home])).stdout, empty, args.join(' '));
    const { stdout } = await runVerb([...args, '--json', '--home', home]);
    assert.doesNotMatch(stdout, empty, args.join(' '));
  }
  assert.equal(
    (await runVerb(['user', 'list', '--home', home])).stdout,
    'NAME    KIND     STATE\nci-pay  service  active\n',
  );
  const listing = globSync('**/*.ts', { cwd: COMMANDS }).filter((name) =>
    /function (?:list\w+|\w+List)\([^)]*\): Promise<ExitCode>/.test(
      readFileSync(path.join(COMMANDS, name), 'utf8'),
    ),
  );
  for (const name of listing)
    assert.match(readFileSync(path.join(COMMANDS, name), 'utf8'), /printTable\(/, `${name} prints no table`);
});
