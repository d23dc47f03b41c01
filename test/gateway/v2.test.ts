import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { imageOf } from '../support/image.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';

const POLICY = `
groups: { pay: [jin] }
allow:
  - { id: public, pull: library/**, to: authenticated }
  - { id: pay, pull: acme/pay-**, to: group:pay, private: true }
  - { id: acme, pull: acme/**, to: ana }
  - { id: lab, pull: library/alpine, to: anonymous, from: [127.0.0.0/8, "::1"] }
deny:
  - { id: old, pull: library/centos, to: authenticated, because: "CentOS is at its end" }
  - { id: closed, pull: library/closed, to: anonymous, because: "Grüße: \\"use\\" go\\\\base – ☃" }
`;

const alpine = imageOf();
const secret = imageOf();
const { hub, hubgate } = await withMirror(
  { after },
  {
    policy: POLICY,
    users: ['ana', 'jin', 'bo'],
    images: { 'library/alpine': alpine, 'library/centos': imageOf() },
    privateImages: { 'acme/secret': secret, 'acme/pay-api': imageOf() },
  },
);

const challenge = (parameters = '') =>
  `Bearer realm="https://localhost:${hubgate.port}/token",service="localhost:${hubgate.port}"${parameters}`;

test('/v2/ admits a login and a token, and challenges everybody else, also where anonymous may pull something', async () => {
  assert.equal((await hubgate.ask('/v2/', { user: 'ana' })).status, 200);
  assert.equal((await hubgate.ask('/v2/', { token: await hubgate.token('ana') })).status, 200);
  for (const target of ['/v2/', '/docker.io/v2/']) {
    const nobody = await hubgate.ask(target);
    assert.equal(nobody.status, 401);
    assert.equal(nobody.headers['www-authenticate'], challenge());
    assert.equal(nobody.headers['docker-distribution-api-version'], 'registry/2.0');
    assert.equal(JSON.parse(nobody.body.toString()).errors[0].code, 'UNAUTHORIZED');
  }
  const wrong = await hubgate.ask('/v2/', { user: 'ana', password: 'wrong' });
  assert.equal(wrong.status, 401);
  assert.equal(wrong.headers['www-authenticate'], challenge());
});

test('a pull by login, by token, and by nobody from a network that may', async () => {
  const target = '/v2/library/alpine/manifests/latest';
  for (const caller of [{ user: 'ana' }, { token: await hubgate.token('ana', 'library/alpine') }, {}]) {
    const pulled = await hubgate.ask(target, caller);
    assert.equal(pulled.status, 200);
    assert.deepEqual(pulled.body, alpine.bytes);
    assert.equal(pulled.headers['docker-content-digest'], alpine.digest);
    assert.equal(pulled.headers['content-type'], alpine.mediaType);
    assert.equal(pulled.headers.etag, `"${alpine.digest}"`);
  }
});

test('the address that a rule asks for is the peer’s, whatever headers say', async () => {
  const target = '/v2/library/alpine/manifests/latest';
  for (const name of ['x-forwarded-for', 'forwarded', 'x-real-ip']) {
    assert.equal((await hubgate.ask(target, { headers: { [name]: '203.0.113.9' } })).status, 200, name);
  }
});

test('nobody, where nothing is granted to anonymous: 401 and a challenge with the scope', async () => {
  for (const [target, scope] of [
    ['/v2/library/busybox/manifests/latest', 'library/busybox'],
    ['/v2/docker.io/acme/secret/manifests/latest', 'acme/secret'],
    ['/v2/acme/secret/tags/list', 'acme/secret'],
  ] as const) {
    const refused = await hubgate.ask(target);
    assert.equal(refused.status, 401, target);
    assert.equal(refused.headers['www-authenticate'], challenge(`,scope="repository:${scope}:pull"`));
  }
});

test('a bad token: 401 invalid_token', async () => {
  const token = await hubgate.token('ana', 'library/alpine');
  const [head, payload, signature] = token.split('.');
  const forged = [head, payload, signature?.replace(/^./, (first) => (first === 'A' ? 'B' : 'A'))].join('.');
  for (const bad of ['nonsense', `${head}.${payload}.`, forged, `${token}x`.repeat(25)]) {
    const refused = await hubgate.ask('/v2/library/alpine/manifests/latest', { token: bad });
    assert.equal(refused.status, 401);
    const parameters = ',scope="repository:library/alpine:pull",error="invalid_token"';
    assert.equal(refused.headers['www-authenticate'], challenge(parameters));
  }
});

test('a token for another repository: 401 insufficient_scope', async () => {
  const token = await hubgate.token('ana', 'library/busybox', 'acme/pay-api');
  const refused = await hubgate.ask('/v2/library/alpine/manifests/latest', { token });
  assert.equal(refused.status, 401);
  const parameters = ',scope="repository:library/alpine:pull",error="insufficient_scope"';
  assert.equal(refused.headers['www-authenticate'], challenge(parameters));
});

test('the policy says no: 403 DENIED, with the reason of the rule', async () => {
  const denied = await hubgate.ask('/v2/library/centos/manifests/latest', { user: 'ana' });
  assert.equal(denied.status, 403);
  assert.deepEqual(JSON.parse(denied.body.toString()), {
    errors: [{ code: 'DENIED', message: 'CentOS is at its end' }],
  });
  const unruled = await hubgate.ask('/v2/acme/secret/manifests/latest', { user: 'bo' });
  assert.equal(unruled.status, 403);
});

test('a token of somebody whom the policy denies: 403 DENIED with the reason, because no other token would help', async () => {
  for (const target of ['/v2/library/centos/manifests/latest', '/v2/library/centos/tags/list']) {
    const refused = await hubgate.ask(target, { token: await hubgate.token('ana', 'library/centos') });
    assert.equal(refused.status, 403);
    assert.equal(refused.headers['www-authenticate'], undefined);
    assert.equal(JSON.parse(refused.body.toString()).errors[0].message, 'CentOS is at its end');
  }
  const unruled = await hubgate.ask('/v2/acme/secret/manifests/latest', { token: await hubgate.token('bo') });
  assert.equal(unruled.status, 403);
});

test('the reason reaches nobody’s token in the challenge, in the characters of RFC 6750, because a login could help', async () => {
  const target = '/v2/library/closed/manifests/latest';
  const { body } = await hubgate.ask('/token?scope=repository:library/closed:pull');
  const { token } = JSON.parse(body.toString());
  const refused = await hubgate.ask(target, { token });
  assert.equal(refused.status, 401);
  const description = `Grusse: 'use' go/base - ?`;
  assert.equal(
    refused.headers['www-authenticate'],
    challenge(
      `,scope="repository:library/closed:pull",error="insufficient_scope",error_description="${description}"`,
    ),
  );
  assert.equal(JSON.parse(refused.body.toString()).errors[0].message, 'Grüße: "use" go\\base – ☃');
  assert.equal((await hubgate.ask(target, { user: 'bo' })).status, 404);
});

test('invariant 4: who has no rule gets the same for what exists and what does not, and nothing is looked up', async () => {
  hub.takeRequests();
  const callers = [{ user: 'bo' }, {}, { token: await hubgate.token('bo') }];
  for (const caller of callers) {
    for (const [existing, missing] of [
      ['/v2/acme/secret/manifests/latest', '/v2/acme/nowhere/manifests/latest'],
      [`/v2/acme/secret/blobs/${secret.config}`, `/v2/acme/nowhere/blobs/${secret.config}`],
      ['/v2/acme/secret/tags/list', '/v2/acme/nowhere/tags/list'],
    ]) {
      const there = await hubgate.ask(existing ?? '', caller);
      const gone = await hubgate.ask(missing ?? '', caller);
      const plain = ({ status, headers, body }: typeof there) => {
        const { date: _, ...rest } = headers;
        return JSON.stringify({ status, rest, body: body.toString() }).replaceAll(
          'acme/nowhere',
          'acme/secret',
        );
      };
      assert.equal(plain(there), plain(gone));
    }
  }
  assert.deepEqual(hub.takeRequests(), []);
});

test('invariant 3: a rule without private opens nothing private, and one with it what it names', async () => {
  const refused = await hubgate.ask('/v2/acme/secret/manifests/latest', { user: 'ana' });
  const missing = await hubgate.ask('/v2/acme/nowhere/manifests/latest', { user: 'ana' });
  assert.equal(refused.status, 404);
  assert.deepEqual(refused.body, missing.body);
  assert.equal((await hubgate.ask('/v2/acme/pay-api/manifests/latest', { user: 'jin' })).status, 200);
  assert.equal((await hubgate.ask('/v2/acme/pay-api/manifests/latest', { user: 'ana' })).status, 404);
});

test('invariant 2: a blob is not served in a repository in which it was not learnt', async () => {
  await hubgate.setPolicy(`${POLICY}\n`.replace('acme/pay-**, to: group:pay', 'acme/**, to: group:pay'));
  while ((await hubgate.ask(`/v2/acme/secret/blobs/${secret.config}`, { user: 'jin' })).status !== 200);
  const stolen = await hubgate.ask(`/v2/library/alpine/blobs/${secret.config}`, { user: 'ana' });
  const random = await hubgate.ask(`/v2/library/alpine/blobs/sha256:${'0'.repeat(64)}`, { user: 'ana' });
  assert.equal(stolen.status, 404);
  assert.deepEqual(stolen.body, random.body);
});

test('permitted but unknown: 404 of its own kind', async () => {
  for (const [target, code] of [
    ['/v2/library/alpine/manifests/gone', 'MANIFEST_UNKNOWN'],
    [`/v2/library/alpine/blobs/sha256:${'1'.repeat(64)}`, 'BLOB_UNKNOWN'],
    ['/v2/library/gone/tags/list', 'NAME_UNKNOWN'],
  ] as const) {
    const unknown = await hubgate.ask(target, { user: 'ana' });
    assert.equal(unknown.status, 404, target);
    assert.equal(JSON.parse(unknown.body.toString()).errors[0].code, code);
  }
});

test('invariant 1: no way of writing a name leads around the policy', async () => {
  hub.takeRequests();
  for (const target of [
    '/v2/library/%2e%2e/acme/secret/manifests/latest',
    '/v2/library/../acme/secret/manifests/latest',
    '/v2/library/..%2facme/secret/manifests/latest',
    '/v2/library%2f..%2facme/secret/manifests/latest',
    '/v2/library/alpine/../../acme/secret/manifests/latest',
    '/v2/library/alpine/manifests/../../../acme/secret/manifests/latest',
    '/v2//acme/secret/manifests/latest',
    '/v2/library\\..\\acme/secret/manifests/latest',
    '/v2/library/alpine;/../acme/secret/manifests/latest',
    '/v2/library/alpine%00/manifests/latest',
    '/v2/./acme/secret/manifests/latest',
    '/v2/library/alpine/manifests/latest%2f..',
    '/docker.io/../v2/acme/secret/manifests/latest',
  ]) {
    const answer = await hubgate.ask(target, { user: 'ana' });
    assert.equal(answer.status, 404, target);
    assert.equal(JSON.parse(answer.body.toString()).errors[0].code, 'NAME_UNKNOWN');
  }
  assert.deepEqual(hub.takeRequests(), []);
});

test('pushing is refused by name, whoever tries', async () => {
  for (const [method, target] of [
    ['POST', '/v2/library/alpine/blobs/uploads/'],
    ['PUT', '/v2/library/alpine/manifests/latest'],
    ['PATCH', '/v2/library/alpine/blobs/uploads/1'],
    ['DELETE', '/v2/library/alpine/manifests/latest'],
    ['GET', '/v2/library/alpine/blobs/uploads/1'],
    ['PROPFIND', '/v2/library/alpine/manifests/latest'],
  ]) {
    for (const caller of [{}, { user: 'ana' }]) {
      const refused = await hubgate.ask(target ?? '', { ...caller, method: method ?? '' });
      assert.equal(refused.status, 405, `${method} ${target}`);
      assert.equal(refused.headers.allow, 'GET, HEAD');
      assert.equal(JSON.parse(refused.body.toString()).errors[0].code, 'UNSUPPORTED');
    }
  }
});

test('OPTIONS says which methods there are, to everybody and of everything', async () => {
  for (const target of [
    '/v2/',
    '/v2/library/alpine/manifests/latest',
    '/v2/acme/secret/tags/list',
    '/v2/NONE',
  ])
    for (const caller of [{}, { user: 'ana' }]) {
      const answer = await hubgate.ask(target, { ...caller, method: 'OPTIONS' });
      assert.deepEqual(
        [answer.status, answer.headers.allow, answer.body.length],
        [204, 'GET, HEAD, OPTIONS', 0],
      );
    }
});

test('a digest is found with its colon encoded, and a malformed name or reference is called so', async () => {
  const encoded = `/v2/library/alpine/manifests/${encodeURIComponent(alpine.digest)}`;
  assert.equal((await hubgate.ask(encoded, { user: 'ana' })).headers['docker-content-digest'], alpine.digest);
  for (const [target, code] of [
    ['/v2/library/Alpine/manifests/latest', 'NAME_INVALID'],
    ['/v2/library/alpine/manifests/1.0+build', 'TAG_INVALID'],
    ['/v2/library/alpine/blobs/latest', 'DIGEST_INVALID'],
  ] as const) {
    const { status, body } = await hubgate.ask(target, { user: 'ana' });
    assert.deepEqual([status, JSON.parse(body.toString()).errors[0].code], [400, code], target);
  }
});

test('the catalog is not served, and what is neither API nor service is unknown', async () => {
  for (const target of ['/v2/_catalog', '/', '/index.html', '/v1/_ping', '/metrics', '/readyz']) {
    assert.equal((await hubgate.ask(target, { user: 'ana' })).status, 404, target);
  }
  assert.equal((await hubgate.ask('/healthz')).body.toString(), 'ok\n');
  assert.equal((await hubgate.ask('/ca.crt')).body.toString(), hubgate.ca);
});

test('tags are listed with a link of our own, and referrers are an index', async () => {
  hub.push('library/alpine', 'a', alpine);
  const page = await hubgate.ask('/v2/alpine/tags/list?n=1', { user: 'ana' });
  assert.deepEqual(JSON.parse(page.body.toString()), { name: 'library/alpine', tags: ['a'] });
  assert.equal(page.headers.link, '</v2/library/alpine/tags/list?n=1&last=a>; rel="next"');
  hub.referrersPerPage = 50;
  const referrers = await hubgate.ask(`/v2/alpine/referrers/${alpine.digest}`, { user: 'ana' });
  assert.equal(referrers.headers['content-type'], 'application/vnd.oci.image.index.v1+json');
});

test('HEAD has the headers of GET', async () => {
  hub.referrersPerPage = 50;
  for (const target of [
    '/v2/library/alpine/manifests/latest',
    `/v2/library/alpine/blobs/${alpine.layers[0]}`,
    '/v2/library/alpine/tags/list',
    `/v2/library/alpine/referrers/${alpine.digest}`,
  ]) {
    await hubgate.ask(target, { user: 'ana' });
    const got = await hubgate.ask(target, { user: 'ana' });
    const head = await hubgate.ask(target, { user: 'ana', method: 'HEAD' });
    assert.equal(head.status, 200);
    assert.equal(head.body.length, 0);
    assert.deepEqual({ ...head.headers, date: '' }, { ...got.headers, date: '' });
  }
});

test('what a client has already is not sent again', async () => {
  for (const [target, digest] of [
    ['/v2/library/alpine/manifests/latest', alpine.digest],
    [`/v2/library/alpine/blobs/${alpine.layers[0]}`, alpine.layers[0]],
  ]) {
    const headers = { 'if-none-match': `W/"other", "${digest}"` };
    for (const method of ['GET', 'HEAD']) {
      const answer = await hubgate.ask(target ?? '', { user: 'ana', headers, method });
      assert.equal(answer.status, 304, `${method} ${target}`);
      assert.equal(answer.body.length, 0);
    }
  }
});

test('invariant 6: no header of a client reaches the upstream, and none of the upstream’s the client', async () => {
  hub.push('library/fresh', 'latest', imageOf());
  hub.log.length = 0;
  const headers = {
    'x-evil': '1',
    cookie: 'a=b',
    'x-forwarded-for': '10.0.0.1',
    'user-agent': 'evil/1.0',
    range: 'bytes=0-1',
  };
  const answer = await hubgate.ask('/v2/library/fresh/manifests/latest', { user: 'ana', headers });
  assert.equal(answer.status, 200);
  for (const entry of hub.log) {
    const sent = Object.keys(entry.headers).filter((name) => !['host', 'connection'].includes(name));
    assert.deepEqual(
      sent.filter((name) => !['accept', 'accept-encoding', 'authorization', 'user-agent'].includes(name)),
      [],
    );
    assert.equal(entry.headers['user-agent'], 'hubgate');
    assert.doesNotMatch(JSON.stringify(entry.headers), /evil|ana|10\.0\.0\.1/);
  }
  const received = Object.keys(answer.headers).filter(
    (name) => name !== 'connection' && name !== 'keep-alive',
  );
  assert.deepEqual(received.sort(), [
    'content-length',
    'content-type',
    'date',
    'docker-content-digest',
    'docker-distribution-api-version',
    'etag',
    'x-content-type-options',
  ]);
});

test('a 404 out of the cache says that it is stale, and is recorded as that', async () => {
  await hubgate.ask('/v2/library/alpine/manifests/latest', { user: 'ana' });
  const target = `/v2/library/alpine/manifests/${alpine.digest.replace(':', '-')}.sig`;
  const first = await hubgate.ask(target, { user: 'ana' });
  assert.deepEqual([first.status, first.headers.age, first.headers.warning], [404, undefined, undefined]);
  hubgate.ahead += 31_000;
  hub.plant('registry', /-/, { kind: 'status', status: 503 });
  const stale = await hubgate.ask(target, { user: 'ana' });
  hubgate.ahead = 0;
  hub.heal();
  assert.deepEqual([stale.status, stale.headers.age, stale.body], [404, '31', first.body]);
  assert.match(stale.headers.warning ?? '', /^111 /);
  await waitFor(async () =>
    (await hubgate.audit()).some((line) => line.cache === 'stale' && line.status === 404),
  );
});

test('what is not mirrored is a 404 that says so', async () => {
  hub.push('library/artifact', 'v1', imageOf());
  const headers = { 'content-type': 'application/vnd.oci.artifact.manifest.v1+json' };
  hub.plant('registry', /artifact/, { kind: 'status', status: 200, headers, body: '{}' });
  const { status, body } = await hubgate.ask('/v2/library/artifact/manifests/v1', { user: 'ana' });
  hub.heal();
  const [error] = JSON.parse(body.toString()).errors;
  assert.deepEqual([status, error.code], [404, 'MANIFEST_UNKNOWN']);
  assert.match(error.message, /^manifests of type application\/vnd\.oci\.artifact\S+ are not mirrored/);
});

test('a stale answer says that it is one', async () => {
  hub.push('library/old', 'latest', imageOf());
  await hubgate.ask('/v2/library/old/manifests/latest', { user: 'ana' });
  hub.plant('registry', /./, { kind: 'status', status: 500 });
  hubgate.ahead += 120_000;
  const stale = await hubgate.ask('/v2/library/old/manifests/latest', { user: 'ana' });
  hubgate.ahead = 0;
  hub.heal();
  assert.equal(stale.status, 200);
  // The clock goes on while the test runs.
  const age = Number(stale.headers.age);
  assert.ok(age >= 120 && age < 180, `${age} s`);
  assert.match(stale.headers.warning ?? '', /^111 /);
});

test('each decided request leaves one line: who, what, by which rule, and what it cost', async () => {
  await hubgate.ask('/v2/library/alpine/manifests/latest', {
    user: 'ana',
    headers: { 'user-agent': 'docker/\u009b28' },
  });
  await hubgate.ask('/v2/library/centos/manifests/latest', { user: 'ana' });
  // Not always in that order: the line of what was answered from memory waits for the core.
  const find = async () => {
    const lines = await hubgate.audit();
    const pulled = lines.find(({ agent }) => agent === 'docker/?28');
    return [pulled, lines.find(({ repository }) => repository === 'docker.io/library/centos')] as const;
  };
  await waitFor(async () => (await find()).every((line) => line !== undefined));
  const [pulled, denied] = await find();
  assert.equal(pulled?.subject, 'user:ana');
  assert.equal(pulled?.agent, 'docker/?28');
  assert.equal(pulled?.repository, 'docker.io/library/alpine');
  assert.deepEqual([pulled?.tag, pulled?.digest], ['latest', alpine.digest]);
  assert.equal(pulled?.rule, 'public');
  assert.equal(pulled?.decision, 'allow');
  assert.equal(pulled?.cache, 'hit');
  assert.equal(pulled?.bytes, alpine.bytes.length);
  assert.equal(denied?.rule, 'old');
  assert.equal(denied?.decision, 'deny');
  assert.equal(denied?.status, 403);
});
