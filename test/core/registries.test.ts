/**
 * Kinds of registries, each as a stand-in that answers as its source says that the real one does. The table
 * in docs/upstreams.md has a row for each; another kind is another entry here.
 */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { loadConfig } from '../../src/config/load-config.ts';
import { upstreamOptions } from '../../src/launch/upstream-options.ts';
import { formatFault } from '../../src/platform/fault.ts';
import { HelperProgram } from '../support/helper-program.ts';
import { imageOf, type TestImage } from '../support/image.ts';
import {
  redirect,
  sendJson,
  standInRegistry,
  standInStore,
  standInTokens,
} from '../support/registry-handlers.ts';
import { TestCore } from '../support/test-core.ts';
import { basic } from '../support/test-hubgate.ts';
import { type LoggedLine, testLog } from '../support/test-log.ts';
import {
  companyAuthority,
  type Handler,
  isInNetwork,
  serveHosts,
  testInNetwork,
  whyNoNetwork,
} from '../support/test-network.ts';

interface RegistryCase {
  /** As docs/upstreams.md names it. */
  readonly kind: string;
  /** Where it is written, or was seen, that such a registry answers so. */
  readonly source: string;
  /**
   * The name of the upstream, and what hubgate.yaml says of it. `CA` is the file of the company's authority.
   */
  readonly upstream: string;
  readonly settings: string;
  /** The repository, as clients of Hubgate name it below the upstream. */
  readonly repository: string;
  /**
   * The hosts that must be there; those below `.corp.example` are at a private address, without a trusted
   * certificate.
   */
  readonly hosts: (image: TestImage) => Readonly<Record<string, Handler>>;
  /** The hosts to which the credential may be sent. */
  readonly shown?: readonly string[];
  /** Why nothing can be pulled, as the log says it; by default the image can be pulled. */
  readonly refused?: RegExp;
}

const PASSWORD = 's3cret-of-the-mirror';
const LOGIN = basic('mirror', PASSWORD);
const CREDENTIAL = `username: mirror, password: ${PASSWORD}`;
const TOKEN = 'token-of-the-registry';
const BEARER = `Bearer ${TOKEN}`;

const CASES: readonly RegistryCase[] = [
  {
    kind: 'Harbor, a project that is a proxy cache of Docker Hub',
    source: 'https://goharbor.io/docs/latest/administration/configure-proxy-cache/',
    upstream: 'docker.io',
    settings: `url: https://harbor.corp.example/hub, ca: CA, ${CREDENTIAL}`,
    repository: 'library/alpine',
    hosts: (image) => ({
      'https://harbor.corp.example': either('/service/token', {
        below: standInTokens(TOKEN, { login: LOGIN, scope: 'repository:hub/library/alpine:pull' }),
        otherwise: standInRegistry({
          image,
          at: '/v2/hub/library/alpine',
          authorization: BEARER,
          challenge: 'Bearer realm="https://harbor.corp.example/service/token",service="harbor-registry"',
        }),
      }),
    }),
    shown: ['harbor.corp.example'],
  },
  {
    kind: 'Harbor, its address written as containerd’s hosts.toml has it',
    source: 'https://github.com/goharbor/harbor/issues/18530',
    upstream: 'docker.io',
    settings: 'url: https://harbor.corp.example/v2/hub/, ca: CA',
    repository: 'library/alpine',
    hosts: (image) => ({
      'https://harbor.corp.example': standInRegistry({ image, at: '/v2/hub/library/alpine' }),
    }),
  },
  {
    kind: 'Artifactory, a remote repository by the repository path method',
    source: 'https://jfrog.com/help/r/how-to-troubleshoot-docker-problems/docker-login-docker.art.local',
    upstream: 'docker.io',
    settings: `url: https://artifactory.corp.example/docker-remote, ca: CA, ${CREDENTIAL}`,
    repository: 'library/alpine',
    hosts: (image) => ({
      'https://artifactory.corp.example': either('/artifactory/api/docker/docker-remote/v2/token', {
        below: standInTokens(TOKEN, { login: LOGIN }),
        otherwise: standInRegistry({
          image,
          at: '/v2/docker-remote/library/alpine',
          authorization: BEARER,
          challenge:
            'Bearer realm="https://artifactory.corp.example/artifactory/api/docker/docker-remote/v2/token",service="artifactory.corp.example",scope="repository:library/alpine:pull"',
        }),
      }),
    }),
    shown: ['artifactory.corp.example'],
  },
  {
    kind: 'Artifactory, its API for one repository',
    source: 'https://jfrog.com/help/r/how-to-troubleshoot-docker-problems/docker-login-docker.art.local',
    upstream: 'docker.io',
    settings: `url: https://artifactory.corp.example/artifactory/api/docker/docker-remote/v2, ca: CA, ${CREDENTIAL}`,
    repository: 'library/alpine',
    hosts: (image) => ({
      'https://artifactory.corp.example': standInRegistry({
        image,
        at: '/artifactory/api/docker/docker-remote/v2/library/alpine',
        authorization: LOGIN,
        challenge: 'Basic realm="Artifactory Realm"',
      }),
    }),
    shown: ['artifactory.corp.example'],
  },
  {
    kind: 'Nexus, a proxy repository by its path',
    source: 'https://github.com/sonatype/nexus-public/issues/873',
    upstream: 'docker.io',
    settings: `url: https://nexus.corp.example/docker-proxy, ca: CA, ${CREDENTIAL}`,
    repository: 'library/alpine',
    hosts: (image) => ({
      'https://nexus.corp.example': standInRegistry({
        image,
        at: '/v2/docker-proxy/library/alpine',
        authorization: LOGIN,
        challenge: 'BASIC realm="Sonatype Nexus Repository Manager"',
      }),
    }),
    shown: ['nexus.corp.example'],
  },
  {
    kind: 'Nexus, the address of its repository',
    source: 'https://github.com/sonatype/nexus-public/issues/873',
    upstream: 'docker.io',
    settings: 'url: https://nexus.corp.example/repository/docker-proxy/v2, ca: CA',
    repository: 'library/alpine',
    hosts: (image) => ({
      'https://nexus.corp.example': standInRegistry({
        image,
        at: '/repository/docker-proxy/v2/library/alpine',
      }),
    }),
  },
  {
    kind: 'Google Artifact Registry, with an access token',
    source: 'https://docs.cloud.google.com/artifact-registry/docs/docker/authentication',
    upstream: 'europe-docker.pkg.dev',
    settings: CREDENTIAL,
    repository: 'acme/images/tool',
    hosts: (image) => ({
      'https://europe-docker.pkg.dev': either('/v2/token', {
        below: standInTokens(TOKEN, { login: LOGIN, scope: 'repository:acme/images/tool:pull' }),
        otherwise: either('/artifacts-downloads/', {
          below: standInStore(image),
          otherwise: standInRegistry({
            image,
            at: '/v2/acme/images/tool',
            authorization: BEARER,
            challenge:
              'Bearer realm="https://europe-docker.pkg.dev/v2/token",service="europe-docker.pkg.dev",scope="repository:acme/images/tool:pull"',
            blobsAt: '/artifacts-downloads/namespaces/acme/repositories/images/downloads/',
          }),
        }),
      }),
    }),
    shown: ['europe-docker.pkg.dev'],
  },
  {
    kind: 'Amazon ECR, with a credential helper',
    source: 'https://github.com/awslabs/amazon-ecr-credential-helper',
    upstream: '123456789012.dkr.ecr.eu-west-1.amazonaws.com',
    settings: 'credentialHelper: test',
    repository: 'acme/tool',
    hosts: (image) => ({
      'https://123456789012.dkr.ecr.eu-west-1.amazonaws.com': standInRegistry({
        image,
        at: '/v2/acme/tool',
        authorization: LOGIN,
        challenge:
          'Basic realm="https://123456789012.dkr.ecr.eu-west-1.amazonaws.com/",service="ecr.amazonaws.com"',
        blobsAt: 'https://prod-eu-west-1-starport-layer-bucket.s3.eu-west-1.amazonaws.com/acme/',
      }),
      'https://prod-eu-west-1-starport-layer-bucket.s3.eu-west-1.amazonaws.com': standInStore(image),
    }),
    shown: ['123456789012.dkr.ecr.eu-west-1.amazonaws.com'],
  },
  {
    kind: 'Azure Container Registry, blobs in a storage account',
    source: 'https://github.com/Azure/acr/blob/main/docs/Token-BasicAuth.md',
    upstream: 'acme.azurecr.io',
    settings: CREDENTIAL,
    repository: 'tool',
    hosts: (image) => ({
      'https://acme.azurecr.io': either('/oauth2/token', {
        below: standInTokens(TOKEN, { login: LOGIN, scope: 'repository:tool:pull' }),
        otherwise: standInRegistry({
          image,
          at: '/v2/tool',
          authorization: BEARER,
          challenge: 'Bearer realm="https://acme.azurecr.io/oauth2/token",service="acme.azurecr.io"',
          blobsAt: 'https://weumanaged1.blob.core.windows.net/registry/docker/',
        }),
      }),
      'https://weumanaged1.blob.core.windows.net': standInStore(image),
    }),
    shown: ['acme.azurecr.io'],
  },
  {
    kind: 'GitLab, its token service on another domain, without a credential',
    source: 'https://github.com/rpardini/docker-registry-proxy/issues/27',
    upstream: 'registry.example',
    settings: '',
    repository: 'acme/tool',
    hosts: (image) => ({
      'https://registry.example': gitlabAt('https://gitlab.other.example', image),
      'https://gitlab.other.example': standInTokens(TOKEN, { scope: 'repository:acme/tool:pull' }),
    }),
  },
  {
    kind: 'GitLab, its token service on another domain, listed',
    source: 'https://github.com/rpardini/docker-registry-proxy/issues/27',
    upstream: 'registry.example',
    settings: `tokenServices: ["https://gitlab.other.example"], ${CREDENTIAL}`,
    repository: 'acme/tool',
    hosts: (image) => ({
      'https://registry.example': gitlabAt('https://gitlab.other.example', image),
      'https://gitlab.other.example': standInTokens(TOKEN, { login: LOGIN }),
    }),
    shown: ['gitlab.other.example'],
  },
  {
    kind: 'GitLab, its token service on another domain, with a credential and not listed',
    source: 'https://github.com/rpardini/docker-registry-proxy/issues/27',
    upstream: 'registry.example',
    settings: CREDENTIAL,
    repository: 'acme/tool',
    hosts: (image) => ({
      'https://registry.example': gitlabAt('https://gitlab.other.example', image),
      'https://gitlab.other.example': standInTokens(TOKEN),
    }),
    refused:
      /^registry\.example names a token service on gitlab\.other\.example, .*upstreams\.registry\.example\.tokenServices: \["https:\/\/gitlab\.other\.example"\]$/,
  },
  {
    kind: 'A public registry that names a token service in the company’s network',
    source: 'https://github.com/distribution/distribution/blob/main/docs/content/spec/auth/token.md',
    upstream: 'registry.example',
    settings: 'ca: CA',
    repository: 'acme/tool',
    hosts: (image) => ({
      'https://registry.example': gitlabAt('https://secrets.corp.example', image),
      'https://secrets.corp.example': standInTokens(TOKEN),
    }),
    refused: /^secrets\.corp\.example: the host has no public address$/,
  },
  {
    kind: 'docker_auth and a registry on one private network, without TLS',
    source: 'https://github.com/cesanta/docker_auth/issues/390',
    upstream: 'registry.corp.example:5000',
    settings: 'url: "http://registry.corp.example:5000", insecure: true',
    repository: 'acme/tool',
    hosts: (image) => ({
      'http://registry.corp.example:5000': standInRegistry({
        image,
        at: '/v2/acme/tool',
        authorization: BEARER,
        challenge: 'Bearer realm="http://auth.corp.example:5001/auth",service="registry"',
      }),
      'http://auth.corp.example:5001': standInTokens(TOKEN),
    }),
  },
  {
    kind: 'A private registry that redirects to private storage',
    source: 'https://github.com/goharbor/harbor/issues/20588',
    upstream: 'harbor.corp.example',
    settings: `ca: CA, ${CREDENTIAL}`,
    repository: 'acme/tool',
    hosts: (image) => ({
      'https://harbor.corp.example': standInRegistry({
        image,
        at: '/v2/acme/tool',
        authorization: LOGIN,
        challenge: 'Basic realm="harbor"',
        blobsAt: 'https://minio.corp.example/harbor/',
      }),
      'https://minio.corp.example': standInStore(image),
    }),
    shown: ['harbor.corp.example'],
  },
  {
    kind: 'A private registry whose storage is without TLS, with `insecure: true`',
    source: 'https://github.com/goharbor/harbor/issues/20870',
    upstream: 'harbor.corp.example',
    settings: 'ca: CA, insecure: true',
    repository: 'acme/tool',
    hosts: (image) => ({
      'https://harbor.corp.example': standInRegistry({
        image,
        at: '/v2/acme/tool',
        authorization: BEARER,
        challenge: 'Bearer realm="http://harbor.corp.example:8080/service/token",service="harbor-registry"',
        blobsAt: 'http://minio.corp.example:9000/harbor/',
      }),
      'http://harbor.corp.example:8080': standInTokens(TOKEN),
      'http://minio.corp.example:9000': standInStore(image),
    }),
  },
  {
    kind: 'A private registry whose storage is without TLS, without `insecure: true`',
    source: 'https://github.com/goharbor/harbor/issues/20870',
    upstream: 'harbor.corp.example',
    settings: 'ca: CA',
    repository: 'acme/tool',
    hosts: (image) => ({
      'https://harbor.corp.example': standInRegistry({
        image,
        at: '/v2/acme/tool',
        blobsAt: 'http://minio.corp.example:9000/harbor/',
      }),
    }),
    refused:
      /^harbor\.corp\.example redirects to minio\.corp\.example:9000, without TLS; to allow it, set upstreams\.harbor\.corp\.example\.insecure: true$/,
  },
  {
    kind: 'A registry with `insecure: true` in the company that redirects without TLS to the Internet',
    source: 'https://github.com/goharbor/harbor/issues/20870',
    upstream: 'harbor.corp.example',
    settings: 'ca: CA, insecure: true',
    repository: 'acme/tool',
    hosts: (image) => ({
      'https://harbor.corp.example': standInRegistry({
        image,
        at: '/v2/acme/tool',
        blobsAt: 'http://cdn.example:9000/harbor/',
      }),
      'http://cdn.example:9000': standInStore(image),
    }),
    refused: /^harbor\.corp\.example redirects to cdn\.example:9000: the host has no private address$/,
  },
  {
    kind: 'A private registry that redirects to a public CDN',
    source:
      'https://docs.gitlab.com/administration/packages/container_registry/#disable-redirect-for-storage-driver',
    upstream: 'gitlab.corp.example:5050',
    settings: 'url: "https://gitlab.corp.example", ca: CA',
    repository: 'acme/tool',
    hosts: (image) => ({
      'https://gitlab.corp.example': standInRegistry({
        image,
        at: '/v2/acme/tool',
        blobsAt: 'https://bucket.s3.example/registry/',
      }),
      'https://bucket.s3.example': standInStore(image),
    }),
  },
  {
    kind: 'A public registry that redirects into the company’s network',
    source: 'https://owasp.org/Top10/A10_2021-Server-Side_Request_Forgery_%28SSRF%29/',
    upstream: 'registry.example',
    settings: 'ca: CA',
    repository: 'acme/tool',
    hosts: (image) => ({
      'https://registry.example': standInRegistry({
        image,
        at: '/v2/acme/tool',
        blobsAt: 'https://minio.corp.example/harbor/',
      }),
      'https://minio.corp.example': standInStore(image),
    }),
    refused: /^registry\.example redirects to minio\.corp\.example: the host has no public address$/,
  },
  {
    kind: 'A registry whose certificate is of an unknown authority',
    source: 'https://github.com/project-zot/zot/issues/4352',
    upstream: 'zot.corp.example',
    settings: '',
    repository: 'acme/tool',
    hosts: (image) => ({ 'https://zot.corp.example': standInRegistry({ image, at: '/v2/acme/tool' }) }),
    refused:
      /^zot\.corp\.example: its certificate is not of an authority that is trusted here; upstreams\.<host>\.ca adds one, and .* \(UNABLE_TO_VERIFY_LEAF_SIGNATURE\)$/,
  },
  {
    kind: 'A vanity host that redirects to a registry which wants a token (Scarf: lscr.io)',
    source: 'https://github.com/rpardini/docker-registry-proxy/issues/158',
    upstream: 'vanity.example',
    settings: CREDENTIAL,
    repository: 'acme/tool',
    hosts: (image) => ({
      'https://vanity.example': (request, response) =>
        redirect(response, 302, `https://target.example${request.url?.replace('/acme/', '/real-acme/')}`),
      'https://target.example': either('/token', {
        below: standInTokens(TOKEN, { scope: 'repository:real-acme/tool:pull' }),
        otherwise: standInRegistry({
          image,
          at: '/v2/real-acme/tool',
          authorization: BEARER,
          challenge:
            'Bearer realm="https://target.example/token",service="target",scope="repository:real-acme/tool:pull"',
          blobsAt: 'https://cdn.example/blobs/',
        }),
      }),
      'https://cdn.example': standInStore(image),
    }),
    shown: [],
  },
  {
    kind: 'A vanity host that redirects to a registry which wants a login',
    source: 'https://github.com/rpardini/docker-registry-proxy/issues/158',
    upstream: 'vanity.example',
    settings: CREDENTIAL,
    repository: 'acme/tool',
    hosts: (image) => ({
      'https://vanity.example': (request, response) =>
        redirect(response, 302, `https://target.example${request.url}`),
      'https://target.example': standInRegistry({
        image,
        at: '/v2/acme/tool',
        authorization: LOGIN,
        challenge: 'Basic realm="target"',
      }),
    }),
    refused: /^vanity\.example: the host that it redirects to, target\.example, answers 401$/,
  },
  {
    kind: 'Quay, whose challenge names no service',
    source: 'https://github.com/quay/quay/issues/1603',
    upstream: 'quay.example',
    settings: '',
    repository: 'acme/tool',
    hosts: (image) => ({
      'https://quay.example': either('/v2/auth', {
        below: standInTokens(TOKEN, { scope: 'repository:acme/tool:pull' }),
        otherwise: standInRegistry({
          image,
          at: '/v2/acme/tool',
          authorization: BEARER,
          challenge: 'Bearer realm="https://quay.example/v2/auth"',
        }),
      }),
    }),
  },
  {
    kind: 'GHCR, whose challenge names a scope that stands for none',
    source: 'https://github.com/cloudflare/serverless-registry/issues/148',
    upstream: 'ghcr.example',
    settings: '',
    repository: 'acme/tool',
    hosts: (image) => ({
      'https://ghcr.example': either('/token', {
        below: standInTokens(TOKEN, { scope: 'repository:acme/tool:pull' }),
        otherwise: standInRegistry({
          image,
          at: '/v2/acme/tool',
          authorization: BEARER,
          challenge:
            'Bearer realm="https://ghcr.example/token",service="ghcr.io",scope="repository:user/image:pull"',
        }),
      }),
    }),
  },
  {
    kind: 'registry.k8s.io, which redirects manifests and blobs to other hosts',
    source: 'https://github.com/kubernetes/registry.k8s.io/blob/main/cmd/archeio/docs/request-handling.md',
    upstream: 'k8s.example',
    settings: '',
    repository: 'pause',
    hosts: (image) => ({
      'https://k8s.example': (request, response) =>
        redirect(
          response,
          307,
          `https://pkg.example/v2/k8s-artifacts-prod/images${request.url?.slice('/v2'.length)}`,
        ),
      'https://pkg.example': standInRegistry({ image, at: '/v2/k8s-artifacts-prod/images/pause' }),
    }),
  },
  {
    kind: 'A registry that refuses HEAD of manifests with 405',
    source: 'https://github.com/distribution/distribution/issues/1485',
    upstream: 'registry.example',
    settings: '',
    repository: 'acme/tool',
    hosts: (image) => ({
      'https://registry.example': exceptHead(
        /\/manifests\//,
        standInRegistry({ image, at: '/v2/acme/tool' }),
        (response) => response.writeHead(405).end(),
      ),
    }),
  },
  {
    kind: 'Artifactory, which labels the HEAD of a manifest `application/json`',
    source: 'https://github.com/moby/moby/issues/19400',
    upstream: 'registry.example',
    settings: '',
    repository: 'acme/tool',
    hosts: (image) => ({
      'https://registry.example': exceptHead(
        /\/manifests\//,
        standInRegistry({ image, at: '/v2/acme/tool' }),
        (response) =>
          response
            .writeHead(200, { 'content-type': 'application/json', 'content-length': image.bytes.length })
            .end(),
      ),
    }),
  },
  {
    kind: 'Harbor, a proxy cache that answers 404 to HEAD of a layer that it has not cached',
    source: 'https://github.com/goharbor/harbor/issues/22609',
    upstream: 'registry.example',
    settings: '',
    repository: 'acme/tool',
    hosts: (image) => ({
      'https://registry.example': exceptHead(
        /\/blobs\//,
        standInRegistry({ image, at: '/v2/acme/tool' }),
        (response) => sendJson(response, 404, { errors: [{ code: 'NOT_FOUND' }] }),
      ),
    }),
  },
];

function either(prefix: string, { below, otherwise }: { below: Handler; otherwise: Handler }): Handler {
  return (request, response) => (request.url?.startsWith(prefix) ? below : otherwise)(request, response);
}

/** Answers HEAD in another way where the path matches. */
function exceptHead(path: RegExp, otherwise: Handler, head: (response: ServerResponse) => void): Handler {
  return (request, response) =>
    request.method === 'HEAD' && path.test(request.url ?? '') ? head(response) : otherwise(request, response);
}

function gitlabAt(origin: string, image: TestImage): Handler {
  return standInRegistry({
    image,
    at: '/v2/acme/tool',
    authorization: BEARER,
    challenge: `Bearer realm="${origin}/jwt/auth",service="container_registry",scope="repository:acme/tool:pull"`,
  });
}

/** One request, as a stand-in saw it. */
interface Seen {
  readonly host: string;
  readonly authorization: string | undefined;
}

function hostsOf({ hosts }: RegistryCase): string[] {
  return Object.keys(hosts(imageOf())).map((url) => new URL(url).hostname);
}

/** Gives the credential of the cases that have a helper. */
let helper: HelperProgram;

if (!isInNetwork()) {
  const skip = await whyNoNetwork();
  test('each kind of registry is mirrored, or refused with the reason', { skip, timeout: 300_000 }, () =>
    testInNetwork(import.meta.filename, [...new Set(CASES.flatMap(hostsOf))]),
  );

  test('each kind of registry is in the documentation, with the source', async () => {
    const page = await readFile(path.join(import.meta.dirname, '../../docs/upstreams.md'), 'utf8');
    for (const { kind, source } of CASES) {
      const row = page.split('\n').find((line) => line.startsWith(`| ${kind} `));
      for (const [address] of source.matchAll(/https:[^\s,]+/g))
        assert.ok(row?.includes(`](${address})`), `docs/upstreams.md has no row "${kind}" with ${address}`);
    }
  });
} else {
  let home: string;
  before(async () => {
    helper = await HelperProgram.write('');
    await helper.gives('mirror', PASSWORD);
    home = await mkdtemp(path.join(tmpdir(), 'hubgate-registries-'));
    await mkdir(path.join(home, 'config'));
  });
  after(async () => {
    await rm(home, { recursive: true });
    await helper[Symbol.asyncDispose]();
  });

  for (const one of CASES) test(one.kind, () => pull(one, home));
}

async function pull(one: RegistryCase, home: string): Promise<void> {
  const { upstream, repository, refused } = one;
  const image = imageOf();
  const seen: Seen[] = [];
  const recorded = Object.entries(one.hosts(image)).map(([url, handler]): [string, Handler] => [
    url,
    (request, response) => {
      seen.push({ host: new URL(url).hostname, authorization: request.headers.authorization });
      handler(request, response);
    },
  ]);
  await using _hosts = await serveHosts(Object.fromEntries(recorded));
  const log: LoggedLine[] = [];
  const upstreams = await upstreamsOf(one, home);
  await using core = await TestCore.start(
    { url: new URL('http://127.0.0.1:1') },
    {
      upstreams,
      log: testLog(log),
    },
  );
  const asked = { grant: 'private', upstream };
  const manifest = await core.ask(`${repository}/manifests/latest`, asked);
  const blobs = [image.config, ...image.layers];
  if (refused === undefined) {
    assert.deepEqual(manifest.body, image.bytes, JSON.stringify(log));
    for (const digest of blobs) {
      const head = await core.ask(`${repository}/blobs/${digest}`, { ...asked, method: 'HEAD' });
      assert.equal(head.status, 200, JSON.stringify(log));
      assert.deepEqual(
        await core.blob(`${repository}/blobs/${digest}`, 'private', upstream),
        image.blobs.get(digest),
      );
    }
  } else {
    const blob = await core.ask(`${repository}/blobs/${blobs[0]}`, asked);
    assert.ok(manifest.status === 502 || blob.status === 502, `${manifest.status} ${blob.status}`);
    const details = log.map(({ detail, reason }) => String(detail ?? reason));
    assert.ok(
      details.some((detail) => refused.test(detail)),
      JSON.stringify(log),
    );
  }
  assert.doesNotMatch(JSON.stringify(log), new RegExp(PASSWORD));
  const shown = seen.filter(({ authorization }) => authorization === LOGIN).map(({ host }) => host);
  assert.deepEqual([...new Set(shown)], one.shown ?? [], 'invariant 5: the hosts that saw the credential');
}

async function upstreamsOf({ upstream, settings }: RegistryCase, home: string) {
  const text = `upstreams: { "${upstream}": { ${settings.replace(/\bca: CA\b/, `ca: ${companyAuthority()}`)} } }\n`;
  await writeFile(path.join(home, 'config/hubgate.yaml'), text, { mode: 0o600 });
  const environment = { PATH: helper.path };
  const loaded = await loadConfig({ directory: home, environment, readsSecrets: true });
  if ('faults' in loaded) assert.fail(loaded.faults.map(formatFault).join('\n'));
  return upstreamOptions(loaded.value);
}
