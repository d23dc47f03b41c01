import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { ensurePackages } from './support/packages.ts';
import { mustRun } from './support/process.ts';

const BIN = path.join(import.meta.dirname, '../../src/bin/hubgate.ts');

let directory: string;
let script: (shell: string) => string;

before(async () => {
  await ensurePackages({ zsh: 'zsh', fish: 'fish' });
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-completion-'));
  script = (shell) => path.join(directory, shell);
  for (const shell of ['zsh', 'fish'])
    await writeFile(script(shell), await mustRun(process.execPath, [BIN, 'completion', shell]));
});

after(() => rm(directory, { recursive: true }));

async function offeredByFish(typed: string): Promise<string[]> {
  const said = await mustRun(
    'fish',
    ['--no-config', '-c', `cd ${directory}; source fish; complete -C '${typed}'`],
    {
      env: { HOME: directory },
    },
  );
  return said.split('\n').flatMap((line) => (line === '' ? [] : [line.split('\t')[0] ?? '']));
}

test('fish completes verbs, options and their values', async () => {
  assert.deepEqual(await offeredByFish('hubgate us'), ['user']);
  assert.deepEqual(await offeredByFish('hubgate user re'), ['remove']);
  assert.deepEqual(await offeredByFish('hubgate --home user token re'), ['revoke']);
  assert.deepEqual(await offeredByFish('hubgate user add ana --pass'), ['--password-stdin']);
  assert.deepEqual(await offeredByFish('hubgate start --role co'), ['core']);
  assert.deepEqual(await offeredByFish('hubgate schema a'), ['access']);
  assert.deepEqual(await offeredByFish('hubgate migrate zs'), ['zsh']);
});

/** Keys that a person types, in a zsh on a terminal of its own; `until`: what the screen shows at last. */
async function typeInZsh(typed: string, until: string): Promise<string> {
  const session = `
zmodload zsh/zpty
zpty shell "env -i PATH=$PATH HOME=${directory} TERM=dumb zsh -f -i"
zpty -w shell 'PS1=READY; autoload -U compinit; compinit -u -D; source ${script('zsh')}; hubgate() { print -r -- "RAN $*" }'
zpty -r -m shell seen '*READY*'
zpty -w -n shell $'${typed}\t\n'
zpty -r -m shell seen '*RAN ${until}*' && print -r -- completed
zpty -d shell
`;
  return mustRun('zsh', ['-f', '-c', session], { env: { HOME: directory } });
}

test('zsh completes verbs, options and their values', async () => {
  assert.match(await typeInZsh('hubgate us', 'user'), /completed/);
  assert.match(await typeInZsh('hubgate user re', 'user remove'), /completed/);
  assert.match(await typeInZsh('hubgate --home user token re', '--home user token revoke'), /completed/);
  assert.match(await typeInZsh('hubgate start --role co', 'start --role core'), /completed/);
  assert.match(await typeInZsh('hubgate user add ana --pass', 'user add ana --password-stdin'), /completed/);
});
