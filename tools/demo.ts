/**
 * Shows what Hubgate does, without Docker, Docker Hub or a network: `npm run demo`. A stand-in for Docker Hub
 * has public images and a private one. A mirror with two users pulls from it, and this program asks the
 * mirror as docker does: manifest, token, manifest again, layers.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { parseDigest, sha256Of } from '../src/registry/digest.ts';
import { FakeHub } from '../test/support/fake-hub.ts';
import { imageOf } from '../test/support/image.ts';
import { RunningMirror } from '../test/support/running-mirror.ts';
import { waitFor } from '../test/support/wait-for.ts';

const PASSWORDS = { ana: 'a password of ana', bo: 'a password of bo' };
type User = keyof typeof PASSWORDS;

const HUB_ACCOUNT = { username: 'acme-mirror', password: 'the token of the account' };

const POLICY = `version: 1
groups:
  payments: [bo]
allow:
  - { id: public, pull: everything, to: authenticated }
  - { id: pay, pull: acme/pay-**, to: group:payments, private: true }
deny:
  - { id: old, pull: library/centos, to: authenticated, because: "CentOS is at its end; use debian" }
...
`;

type Print = (text: string) => void;

/** Runs the demonstration. Nothing of it is left when it ends. */
export async function demo(print: Print): Promise<void> {
  const start = performance.now();
  await using hub = await startHub();
  print('A stand-in for Docker Hub has library/alpine, library/centos and the private acme/pay-api.');
  print('The account acme-mirror can read all three.');
  heading(print, 'Two users, and a policy');
  await using mirror = await RunningMirror.start({
    environment: {
      REGISTRY_PROXY_REMOTEURL: hub.url.href,
      REGISTRY_PROXY_USERNAME: HUB_ACCOUNT.username,
      REGISTRY_PROXY_PASSWORD: HUB_ACCOUNT.password,
      // On a busy machine the second pull may come late.
      HUBGATE_CACHE_TAG_FRESHNESS: '1h',
    },
    prepare: (mirror) => prepare(mirror, print),
  });
  heading(print, 'The mirror starts');
  print(`$ hubgate start\nServes https://localhost:${mirror.port}`);

  heading(print, 'Everybody who logs in may pull what is public');
  await pull({ mirror, hub, print }, 'ana', 'library/alpine');
  print('The second pull comes from the cache:');
  await pull({ mirror, hub, print }, 'bo', 'library/alpine');

  heading(print, 'The private image is there for the group payments, and for nobody else');
  await pull({ mirror, hub, print }, 'ana', 'acme/pay-api');
  await pull({ mirror, hub, print }, 'bo', 'acme/pay-api');
  await run(mirror, print, 'access', 'explain', 'ana', 'acme/pay-api');

  heading(print, 'A deny says why');
  await pull({ mirror, hub, print }, 'bo', 'library/centos');
  await run(mirror, print, 'access', 'explain', 'bo', 'library/centos');

  heading(print, 'Who pulled what');
  await waitFor(async () =>
    (await readFile(path.join(mirror.home, 'state/audit.log'), 'utf8')).includes('centos'),
  );
  await run(mirror, print, 'audit');
  print(
    `\nThis took ${Math.round((performance.now() - start) / 1000)} s. The mirror ends, and its files are removed.`,
  );
}

function heading(print: Print, text: string): void {
  print(`\n── ${text} ${'─'.repeat(Math.max(0, 90 - text.length))}`);
}

async function startHub(): Promise<FakeHub> {
  const hub = await FakeHub.start();
  hub.accounts.push({ ...HUB_ACCOUNT, repositories: ['acme/pay-api'] });
  hub.push('library/alpine', 'latest', imageOf({ size: 1_000_000 }));
  hub.push('library/centos', 'latest', imageOf());
  hub.push('acme/pay-api', 'latest', imageOf(), { private: true });
  return hub;
}

/** Makes the users and writes the policy, as an administrator does before the first start. */
async function prepare(mirror: RunningMirror, print: Print): Promise<void> {
  for (const [user, password] of Object.entries(PASSWORDS)) {
    print(`$ hubgate user add ${user} --password-stdin`);
    const { output } = await mirror.runWith(password, 'user', 'add', user, '--password-stdin');
    print(output.trimEnd());
  }
  const file = path.join(mirror.home, 'config/access.yaml');
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, POLICY);
  print(`$ cat config/access.yaml\n${POLICY.trimEnd()}`);
  await run(mirror, print, 'check');
}

async function run(mirror: RunningMirror, print: Print, ...args: string[]): Promise<void> {
  print(`$ hubgate ${args.join(' ')}`);
  print((await mirror.run(...args)).output.trimEnd());
}

interface Stage {
  readonly mirror: RunningMirror;
  readonly hub: FakeHub;
  readonly print: Print;
}

/** Pulls the tag `latest` of a repository as docker does, and prints each request with its answer. */
async function pull({ mirror, hub, print }: Stage, user: User, repository: string): Promise<void> {
  print(`$ docker pull localhost:${mirror.port}/${repository}        as ${user}`);
  hub.takeRequests();
  const manifests = `/v2/${repository}/manifests/latest`;
  const challenged = await mirror.ask(manifests);
  const challenge = String(challenged.headers['www-authenticate']);
  print(`  GET ${manifests}   ${challenged.status}, ${challenge.slice(0, challenge.indexOf(','))},…`);
  const token = await login(mirror, user, repository, print);
  const headers = { authorization: `Bearer ${token}` };
  const answer = await mirror.ask(manifests, { headers });
  const text = answer.body.toString();
  const outcome =
    answer.status === 200 ? answer.headers['docker-content-digest'] : JSON.parse(text).errors[0].message;
  print(`  GET ${manifests}   ${answer.status}, ${outcome}`);
  if (answer.status === 200)
    for (const { digest } of JSON.parse(text).layers) {
      const layer = await mirror.ask(`/v2/${repository}/blobs/${digest}`, { headers });
      const verdict =
        sha256Of(layer.body) === parseDigest(digest) ? 'its digest is right' : 'its digest is WRONG';
      print(
        `  GET /v2/${repository}/blobs/${digest.slice(0, 19)}…   ${layer.status}, ${layer.body.length} bytes, ${verdict}`,
      );
    }
  print(`  Docker Hub was asked for content ${contentRequests(hub)} times.`);
}

/**
 * Counts what the Hub was asked, except for tokens and for whether it is there, which a start asks at its own
 * time.
 */
function contentRequests(hub: FakeHub): number {
  return hub.takeRequests().filter((request) => !/ (?:\/v2\/|\/token)$/.test(request)).length;
}

async function login(mirror: RunningMirror, user: User, repository: string, print: Print): Promise<string> {
  const target = `/token?service=localhost:${mirror.port}&scope=repository:${repository}:pull`;
  const basic = Buffer.from(`${user}:${PASSWORDS[user]}`).toString('base64');
  const { status, body } = await mirror.ask(target, { headers: { authorization: `Basic ${basic}` } });
  print(`  GET /token?…&scope=repository:${repository}:pull   ${status}, as ${user}`);
  return JSON.parse(body.toString()).token;
}

if (import.meta.main) {
  // Ctrl-C ends the mirror. The next question to it fails then, and everything is removed as usual.
  process.on('SIGINT', () => {});
  await demo((text) => process.stdout.write(`${text}\n`));
}
