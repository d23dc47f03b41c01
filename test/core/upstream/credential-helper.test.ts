/** A program gives the login of an upstream, and another one when that has ended. */
import assert from 'node:assert/strict';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, test } from 'node:test';
import { runHelper } from '../../../src/core/upstream/run-helper.ts';
import type { UpstreamHost } from '../../../src/registry/repository.ts';
import { HelperProgram } from '../../support/helper-program.ts';
import { imageOf } from '../../support/image.ts';
import { serveLocally } from '../../support/local-server.ts';
import { refusal, StandInRegistry } from '../../support/stand-in-registry.ts';
import { SHORT_LIMITS, TestCore } from '../../support/test-core.ts';
import { basic } from '../../support/test-hubgate.ts';
import { type LoggedLine, testLog } from '../../support/test-log.ts';
import { waitFor } from '../../support/wait-for.ts';

const HOST = '123456789012.dkr.ecr.eu-west-1.amazonaws.com' as UpstreamHost;
const TARGET = 'acme/app/manifests/1';
const PATIENT = { ...SHORT_LIMITS, headers: 30_000, connect: 30_000, question: 50_000 };

let registry: StandInRegistry;
let helper: HelperProgram;
let log: LoggedLine[];
/** The login that the registry takes. */
let good: string;

beforeEach(async () => {
  registry = await StandInRegistry.start();
  registry.push('1', imageOf());
  helper = await HelperProgram.write('');
  log = [];
});

afterEach(async () => {
  await registry[Symbol.asyncDispose]();
  await helper[Symbol.asyncDispose]();
});

/** The registry refuses every login but the good one, as Basic registries do, or with 403 as ECR does. */
function refuseOthers(status: 401 | 403): void {
  registry.behave = ({ headers: { authorization } }, usual) => {
    if (authorization === good) return usual;
    if (authorization !== undefined && status === 403) return refusal(403, 'DENIED');
    const answer = refusal(401, 'UNAUTHORIZED');
    const challenge = 'Basic realm="https://ecr.example/",service="ecr.amazonaws.com"';
    return { ...answer, headers: { ...answer.headers, 'www-authenticate': challenge } };
  };
}

function start(environment: Record<string, string> = {}): Promise<TestCore> {
  const credential = { helper: 'test', environment: { PATH: helper.path, ...environment } };
  const upstreams = [{ host: HOST, url: registry.url, credential }];
  return TestCore.start(registry, { upstreams, limits: PATIENT, log: testLog(log), tagFreshness: 0 });
}

async function statusOf(core: TestCore): Promise<number> {
  return (await core.ask(TARGET, { grant: 'private', upstream: HOST })).status;
}

for (const status of [401, 403] as const)
  test(`a login is used until the upstream refuses it with ${status}, and the pull goes on with another one`, async () => {
    refuseOthers(status);
    good = basic('AWS', 'first');
    await helper.gives('AWS', 'first');
    await using core = await start();
    const pulls = Array.from({ length: 5 }, () => statusOf(core));
    assert.deepEqual(await Promise.all(pulls), [200, 200, 200, 200, 200]);
    assert.deepEqual(await helper.runs(), [`get ${registry.url.host}`]);
    core.now += 60_000;
    good = basic('AWS', 'second');
    await helper.gives('AWS', 'second');
    assert.equal(await statusOf(core), 200);
    assert.equal((await helper.runs()).length, 2);
    const stale = log.filter(({ msg }) => /copy|stale|trouble/.test(msg));
    assert.deepEqual(stale, []);
    assert.doesNotMatch(JSON.stringify(log), /second|first/);
  });

test('invariant 5: an identity token is exchanged at the token service, and is sent nowhere else', async () => {
  const forms: string[] = [];
  const tokens = await serveLocally(async (request, response) => {
    forms.push(`${request.method} ${request.url} ${request.headers.authorization} ${await text(request)}`);
    response.setHeader('content-type', 'application/json').end('{"access_token":"good"}');
  });
  await using stack = new AsyncDisposableStack();
  stack.defer(() => tokens.stop());
  registry.behave = ({ headers: { authorization } }, usual) => {
    if (authorization === 'Bearer good') return usual;
    const answer = refusal(401, 'UNAUTHORIZED');
    const challenge = `Bearer realm="${tokens.url}oauth2/token",service="acme.azurecr.io"`;
    return { ...answer, headers: { ...answer.headers, 'www-authenticate': challenge } };
  };
  await helper.gives('<token>', 'identity-s3cret');
  await using core = await start();
  assert.equal(await statusOf(core), 200);
  const form = 'service=acme.azurecr.io&scope=repository%3Aacme%2Fapp%3Apull&client_id=hubgate';
  assert.ok(
    forms.includes(
      `POST /oauth2/token undefined grant_type=refresh_token&${form}&refresh_token=identity-s3cret`,
    ),
    forms.join('\n'),
  );
  assert.doesNotMatch(JSON.stringify(registry.requests), /identity-s3cret/);
  refuseOthers(401);
  good = 'none';
  await using basicCore = await start();
  assert.equal(await statusOf(basicCore), 502);
  assert.match(JSON.stringify(log), /an identity token is no login/);
  assert.doesNotMatch(JSON.stringify([registry.requests, log]), /identity-s3cret|PHRva2Vu/);
});

test('a login that says when it ends is exchanged before, and one that does not after a while', async () => {
  refuseOthers(401);
  await using core = await start();
  const secret = (name: string, hours: number) => {
    const expiration = Math.floor(core.now / 1000) + hours * 3600;
    return Buffer.from(JSON.stringify({ payload: name, type: 'DATA_KEY', expiration })).toString('base64');
  };
  for (const [name, password, forward] of [
    ['twelve hours', secret('a', 12), 12 * 3_600_000 - 30_000],
    ['no end that is said', 'opaque', 11 * 60_000],
    ['the next', secret('b', 48), 0],
  ] as const) {
    await helper.gives('AWS', password);
    good = basic('AWS', password);
    assert.equal(await statusOf(core), 200, name);
    core.now += forward;
  }
  assert.equal((await helper.runs()).length, 3);
  assert.doesNotMatch(JSON.stringify(log), /refuses the credential/);
});

test('a refused login has the helper run no more often than once in a while', async () => {
  refuseOthers(401);
  good = 'none';
  await helper.gives('AWS', 'wrong');
  await using core = await start();
  for (let pull = 0; pull < 5; pull++) assert.equal(await statusOf(core), 502);
  assert.equal((await helper.runs()).length, 1);
});

test('while the helper fails the last login is used, and its failure is in the log once in a while', async () => {
  refuseOthers(401);
  good = basic('AWS', 'first');
  await helper.gives('AWS', 'first');
  await using core = await start();
  assert.equal(await statusOf(core), 200);
  core.now += 11 * 60_000;
  await helper.rewrite('echo "no role is attached"; exit 1');
  for (let pull = 0; pull < 3; pull++) assert.equal(await statusOf(core), 200);
  assert.equal((await helper.runs()).length, 2);
  assert.match(JSON.stringify(log), /docker-credential-test fails: no role is attached/);
});

test('invariant 5: the helper is given the variables that are named for it, and nothing else of the environment', async () => {
  await helper.rewrite('env > $DIRECTORY/environment; echo \'{"Username":"AWS","Secret":"x"}\'');
  const environment = { PATH: helper.path, AWS_REGION: 'eu-west-1' };
  assert.deepEqual(await runHelper({ name: 'test', environment, server: 'r.example', deadline: 30_000 }), {
    username: 'AWS',
    password: 'x',
  });
  const given = (await helper.read('environment')).split('\n').map((line) => line.split('=')[0] ?? '');
  const own = ['', 'PWD', 'OLDPWD', '_', 'SHLVL', 'DIRECTORY', 'SERVER'];
  assert.deepEqual(given.filter((name) => !own.includes(name)).sort(), ['AWS_REGION', 'PATH']);
});

test('a helper that fails, prints rubbish or is not there is named, without what it printed', async () => {
  const failures: [script: string, reason: RegExp][] = [
    ['echo "credentials not found"; exit 1', /docker-credential-test fails: credentials not found$/],
    ['echo "on stderr" >&2; exit 3', /docker-credential-test fails: on stderr$/],
    ['exit 3', /docker-credential-test fails: exit code 3$/],
    ['printf "a\\033[31mred"; exit 1', /fails: a\\u001b\[31mred$/],
    ['echo "AWS s3cret"', /the output of the credential helper docker-credential-test is not JSON$/],
    ['echo \'{"Username":"s3cret"}\'', /prints no Username and Secret$/],
    ['echo null', /prints no Username and Secret$/],
    ['while :; do echo s3crets3crets3crets3crets3crets3crets3crets3cret; done', /prints more than 64 KiB$/],
  ];
  const environment = { PATH: helper.path };
  for (const [script, reason] of failures) {
    await helper.rewrite(script);
    const asked = runHelper({ name: 'test', environment, server: 'r.example', deadline: 30_000 });
    await assert.rejects(
      asked,
      ({ message }: Error) => reason.test(message) && !/s3cret/.test(message),
      script,
    );
  }
  const asked = runHelper({ name: 'none', environment, server: 'r.example', deadline: 30_000 });
  await assert.rejects(asked, /^Error: the credential helper docker-credential-none is not in PATH$/);
});

test('invariant 16: a helper that hangs is ended, with all that it started', async () => {
  await helper.rewrite('sleep 1000 & echo $! > $DIRECTORY/pid; wait');
  const environment = { PATH: helper.path };
  const asked = runHelper({ name: 'test', environment, server: 'r.example', deadline: 3_000 });
  await assert.rejects(asked, /docker-credential-test does not end within 3 s$/);
  const pid = Number(await helper.read('pid'));
  assert.ok(pid > 0, 'it had started something');
  await waitFor(() => !isRunning(pid));
});

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
