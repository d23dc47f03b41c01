/** The verbs about people of directories, while a mirror runs whose people log in at an identity provider. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Browser } from '../support/browser.ts';
import { DirectoryMirror, PAY } from '../support/directory-mirror.ts';
import { PASSWORD } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';
import { runVerb, withoutPadding } from './support/terminal.ts';

const mirror = await DirectoryMirror.start({ after });
const { hubgate, provider } = mirror;

function run(...words: string[]) {
  return runVerb([...words, '--home', hubgate.home]);
}

async function mustRun(...words: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(...words);
  assert.equal(code, 0, `hubgate ${words.join(' ')}: ${stderr}`);
  return stdout;
}

/** Logs in somebody whose name belongs to another account, and returns the command that the page shows. */
async function commandFor(sub: string): Promise<string[]> {
  const refused = await mirror.logIn(new Browser(hubgate), sub);
  assert.equal(refused.status, 403);
  const [, command = ''] = /an operator can link them: hubgate ([\w -]+)/.exec(refused.text) ?? [];
  return command.split(' ');
}

test('the command of the page lets a person have the name of an entry of the users file', async () => {
  await provider.setPerson('sub-local', { preferred_username: 'local', groups: ['payments'] });
  const command = await commandFor('sub-local');
  assert.equal(
    await mustRun(...command),
    'local belongs to sub-local of corp; a running mirror knows within a second\n',
  );
  assert.match(withoutPadding(await mustRun('people')), /^local {2}corp {2}linked {2}- {2}0 {2}0$/m);
  const browser = new Browser(hubgate);
  assert.equal((await mirror.logIn(browser, 'sub-local')).status, 200);
  const password = await mirror.tokenOf(browser);
  assert.equal((await hubgate.ask(PAY, { user: 'local', password })).status, 200);
  // The entry works for emergencies as before, and the next account of that name has nothing of it.
  assert.equal((await new Browser(hubgate).logIn('local', PASSWORD)).status, 303);
  await provider.setPerson('sub-local-2', { preferred_username: 'local', groups: ['payments'] });
  await commandFor('sub-local-2');
});

test('after a link the name is that of somebody who was hired again, and the former tokens have ended', async () => {
  const password = await mirror.tokenOf(await mirror.loggedIn('ana'));
  const pull = async (secret: string) => (await hubgate.ask(PAY, { user: 'ana', password: secret })).status;
  assert.equal(await pull(password), 200);
  await provider.setPerson('sub-ana-again', { preferred_username: 'ana', groups: ['payments'] });
  await mustRun(...(await commandFor('sub-ana-again')));
  await waitFor(async () => (await pull(password)) === 401);
  const browser = new Browser(hubgate);
  assert.equal((await mirror.logIn(browser, 'sub-ana-again')).status, 200);
  assert.equal(await pull(await mirror.tokenOf(browser)), 200);
  assert.equal(await pull(password), 401);
});

test('a name that is unlinked is free, and its sessions and tokens have ended', async () => {
  const browser = await mirror.loggedIn('bo');
  const password = await mirror.tokenOf(browser);
  assert.equal((await hubgate.ask(PAY, { user: 'bo', password })).status, 200);
  const [bo] = JSON.parse(await mustRun('people', '--json')).filter(
    (person: { readonly name: string }) => person.name === 'bo',
  );
  assert.deepEqual(
    [bo.login, bo.stableId, bo.state, bo.tokens, bo.groups, bo.canBeConfirmed],
    ['corp', 'sub-bo', 'active', 1, ['payments'], true],
  );
  assert.equal(
    await mustRun('user', 'unlink', 'bo'),
    'bo is unlinked from corp, and the tokens of bo from there have ended\n',
  );
  await waitFor(async () => (await hubgate.ask(PAY, { user: 'bo', password })).status === 401);
  assert.equal((await browser.get('/account/')).status, 303);
  await provider.setPerson('sub-other-bo', { preferred_username: 'bo', groups: [] });
  assert.equal((await mirror.logIn(new Browser(hubgate), 'sub-other-bo')).status, 200);
});

test('without an id, the next account that logs in with the name has it, if no account of that login has', async () => {
  const said = async () => (await mustRun('user', 'link', 'ed', 'corp')).split(';')[0];
  assert.equal(await said(), 'ed belongs to whoever logs in at corp as ed next');
  const browser = await mirror.loggedIn('ed');
  assert.equal(await said(), 'ed belongs to sub-ed of corp');
  assert.equal((await browser.get('/account/')).status, 200);
  await provider.setPerson('sub-other-ed', { preferred_username: 'ed', groups: [] });
  await commandFor('sub-other-ed');
});

test('what cannot be linked or unlinked is refused in words', async () => {
  await mirror.loggedIn('cy');
  for (const [words, code, expected] of [
    [['link', 'di', 'crop'], 2, /"crop" is no login of hubgate\.yaml.*corp/],
    [['link', '../di', 'corp'], 2, /"\.\.\/di"/],
    [['link', 'di', 'corp', 'sub-cy'], 1, /has the name cy; unlink it first: hubgate user unlink cy/],
    [['unlink', 'nobody'], 1, /nobody of a directory has the name "nobody"/],
  ] as const) {
    const refused = await run('user', ...words);
    assert.equal(refused.code, code, words.join(' '));
    assert.match(refused.stderr, expected);
  }
});
