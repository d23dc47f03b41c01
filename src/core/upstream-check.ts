/**
 * Goes the way to one registry step by step, as the core does, for operators. They learn at which step it
 * fails and which setting fixes that. The report contains no credential, and of an address no more than its
 * host.
 */
import { lookup } from 'node:dns/promises';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { openTunnel } from '../platform/egress/open-tunnel.ts';
import { type EgressOptions, type ProxyOptions, proxyFor } from '../platform/egress/proxy-rules.ts';
import type { Logger } from '../platform/log.ts';
import { Deadline, unlessAborted } from '../platform/scheduling/deadline.ts';
import { trusting } from '../platform/trusted-authorities.ts';
import type { UpstreamStep } from '../protocol/core-api.ts';
import { parseChallenges } from '../registry/challenge.ts';
import type { Digest } from '../registry/digest.ts';
import { parseImage } from '../registry/image.ts';
import { formatReference, LATEST_TAG, type Reference } from '../registry/reference.ts';
import type { Repository, UpstreamNames } from '../registry/repository.ts';
import type { CoreLimits } from './limits.ts';
import { childrenOf, whyInvalidManifest } from './pull/validate-document.ts';
import { fixFor, type StepName, whyFailed } from './step-failure.ts';
import { apiRoot } from './upstream/api-url.ts';
import type { AccountCheck } from './upstream/check-accounts.ts';
import type { UpstreamManifest } from './upstream/read-manifest.ts';
import type { RegistryClient } from './upstream/registry-client.ts';
import { discard, type Transport } from './upstream/transport.ts';
import type { UpstreamOptions } from './upstream/upstream.ts';
import type { UpstreamResult } from './upstream/upstream-result.ts';

export interface StepsOptions {
  readonly upstream: UpstreamOptions;
  readonly egress: EgressOptions | undefined;
  readonly transport: Transport;
  readonly client: RegistryClient;
  readonly limits: Pick<CoreLimits, 'connect' | 'headers'>;
  /** Aborts the waits for the network. */
  readonly signal?: AbortSignal;
}

export interface WantedManifest {
  readonly repository: Repository;
  readonly reference: Reference;
}

/** Parses an image without its host, or with it. Returns undefined if it is not an image of that host. */
export function wantedManifest(
  image: string,
  host: string,
  names: UpstreamNames,
): WantedManifest | undefined {
  const prefix = `${host}/`;
  const whole = image.startsWith(prefix) ? image : `${prefix}${image}`;
  const { repository, digest, tag = LATEST_TAG } = parseImage(whole, names) ?? {};
  if (repository?.upstream !== host) return undefined;
  return { repository, reference: digest === undefined ? { kind: 'tag', tag } : { kind: 'digest', digest } };
}

/** A step resolves to its finding, or to null if it was not needed. It throws why it failed. */
type CheckStep = readonly [name: StepName, take: () => Promise<string | null>];

const MORE_STEPS: readonly StepName[] = ['HEAD', 'GET', 'redirect', 'first bytes'];

/** Takes the steps up to the answer of the registry. They cost one request, and no pull. */
function networkSteps(options: StepsOptions): Promise<readonly UpstreamStep[]> {
  return takeSteps(options, stepsToRegistry(options, {}));
}

/**
 * Takes all steps. Without an image the token is the last one, because each GET of a manifest is a pull. The
 * first step that fails is the last one.
 */
export async function allSteps(
  options: StepsOptions,
  image: WantedManifest | undefined,
): Promise<readonly UpstreamStep[]> {
  const found: FoundUpstream = {};
  const steps: CheckStep[] = [...stepsToRegistry(options, found), ...stepsOfAccount(options, found)];
  if (image !== undefined) return takeSteps(options, [...steps, ...stepsOfImage(options, image)]);
  const skipped = MORE_STEPS.map((step) => skip(step, 'name an image to go on; that costs a pull'));
  const taken = await takeSteps(options, steps);
  return taken.some(({ result }) => result === 'failed') ? taken : [...taken, ...skipped];
}

/** Logs an error if an upstream cannot be reached. */
export async function lookAtUpstream(options: StepsOptions, log: Logger): Promise<void> {
  const failed = (await networkSteps(options)).find(({ result }) => result === 'failed');
  if (failed === undefined || options.signal?.aborted === true) return;
  const { step, detail, mend } = failed;
  const { host } = options.upstream;
  log.error(
    { upstream: host, step, problem: detail, mend },
    `the upstream cannot be reached; what is cached is served; to see each step: hubgate upstream check ${host}`,
  );
}

/** The findings of a step that a later step needs. */
interface FoundUpstream {
  challenges?: ReturnType<typeof parseChallenges>;
}

async function takeSteps(
  { upstream }: StepsOptions,
  steps: readonly CheckStep[],
): Promise<readonly UpstreamStep[]> {
  const taken: UpstreamStep[] = [];
  for (const [step, take] of steps) {
    try {
      const detail = await take();
      taken.push(detail === null ? skip(step, 'not needed') : { step, result: 'ok', detail, mend: null });
    } catch (error) {
      const detail = whyFailed(error);
      taken.push({ step, result: 'failed', detail, mend: fixFor(step, upstream.host, detail) });
      break;
    }
  }
  return taken;
}

function skip(step: StepName, detail: string): UpstreamStep {
  return { step, result: 'skipped', detail, mend: null };
}

function stepsToRegistry(options: StepsOptions, found: FoundUpstream): readonly CheckStep[] {
  const { upstream, egress, transport, limits, signal } = options;
  const { url } = upstream;
  const proxy = proxyFor(url, egress);
  const near = proxy === undefined ? url : new URL(proxy.url);
  const host = near.hostname.replace(/^\[|\]$/g, '');
  const port = Number(near.port) || (near.protocol === 'https:' ? 443 : 80);
  return [
    ['proxy', async () => (proxy === undefined ? 'none, it is connected to directly' : near.origin)],
    ['DNS', async () => (isIP(host) === 0 ? addressesOf(host, limits.connect, signal) : null)],
    ['address', () => connected(host, port, limits.connect, signal)],
    ['TLS', async () => (url.protocol === 'https:' ? certificateOf(options, proxy) : null)],
    [
      '/v2/',
      async () => {
        using deadline = new Deadline(limits.headers);
        const asked = { method: 'GET', url: apiRoot(url), upstream, follows: true } as const;
        const response = unwrap(await transport.send({ ...asked, signal: deadline.signal }));
        discard(response);
        const { statusCode: status, headers, host: answered } = response;
        if (status !== 200 && status !== 401) throw new Error(`answers ${status}`);
        found.challenges = parseChallenges(headers['www-authenticate'] ?? '');
        if (status === 401 && found.challenges.length === 0)
          throw new Error('answers 401 without a challenge that can be met');
        return answered === url.host
          ? `answers ${status}`
          : `redirects to ${answered}, which answers ${status}`;
      },
    ],
  ];
}

function stepsOfAccount({ upstream, client }: StepsOptions, found: FoundUpstream): readonly CheckStep[] {
  return [
    [
      'challenge',
      async () => {
        const all = (found.challenges ?? []).map(({ scheme, parameters }) => {
          const realm = URL.parse(parameters.get('realm') ?? '')?.host;
          return scheme === 'bearer' ? `Bearer, by the token service on ${realm ?? 'no host'}` : 'Basic';
        });
        return all.length === 0 ? null : all.join('; ');
      },
    ],
    [
      'token',
      async () => {
        const { trouble, credential, accounts = [] } = await client.check(upstream.host);
        if (trouble !== null) throw new Error(trouble);
        const refused = accounts.filter((account) => account.credential === 'refused');
        if (refused.length > 0) throw new Error(`the credential of ${namesIn(refused)} is refused`);
        if (credential === 'refused') throw new Error('the credential is refused');
        if (accounts.length > 0)
          return accounts
            .map((account) => `the credential of ${account.name} is ${account.credential}`)
            .join(', ');
        return credential === 'none'
          ? 'anonymous; no credential is configured'
          : `the credential is ${credential}`;
      },
    ],
  ];
}

function namesIn(accounts: readonly AccountCheck[]): string {
  return accounts.map(({ name }) => name).join(' and ');
}

function stepsOfImage(
  { upstream, client }: StepsOptions,
  { repository, reference }: WantedManifest,
): readonly CheckStep[] {
  const ask = { as: 'account' } as const;
  let manifest: UpstreamManifest | undefined;
  let host: string | undefined;
  let bytes = '';
  return [
    [
      'HEAD',
      async () => {
        const { digest, size } = unwrap(await client.headManifest(repository, reference, ask));
        return `${formatReference(reference)} is ${digest}, ${size} bytes`;
      },
    ],
    [
      'GET',
      async () => {
        manifest = checkedManifest(unwrap(await client.getManifest(repository, reference, ask)));
        const { mediaType } = manifest;
        const child = childrenOf(manifest.bytes)[0];
        if (/index|list/.test(mediaType) && child !== undefined)
          manifest = checkedManifest(
            unwrap(await client.getManifest(repository, { kind: 'digest', digest: child }, ask)),
          );
        return mediaType;
      },
    ],
    [
      'redirect',
      async () => {
        const digest = blobOf(manifest);
        if (digest === undefined) return null;
        const blob = unwrap(await client.getBlob(repository, digest, ask));
        host = blob.host;
        for await (const chunk of blob.body) {
          bytes = `${chunk.length} bytes of ${digest}`;
          break;
        }
        return host === upstream.url.host
          ? 'none; the registry sends blobs itself'
          : `blobs are sent by ${host}`;
      },
    ],
    [
      'first bytes',
      async () => {
        if (bytes === '' && host !== undefined) throw new Error('the blob is empty');
        return bytes === '' ? null : bytes;
      },
    ],
  ];
}

function checkedManifest(manifest: UpstreamManifest): UpstreamManifest {
  const why = whyInvalidManifest(manifest.bytes, manifest.mediaType);
  if (why !== undefined) throw new Error(`the manifest is refused: ${why}`);
  return manifest;
}

/**
 * Returns one blob of the manifest. Any blob will do. The config is usually the smallest, and is the last
 * one.
 */
function blobOf(manifest: UpstreamManifest | undefined): Digest | undefined {
  return manifest === undefined ? undefined : childrenOf(manifest.bytes).at(-1);
}

function unwrap<T>(answer: UpstreamResult<T>): T {
  if (answer.kind === 'ok') return answer.value;
  if (answer.kind === 'unavailable') throw new Error(answer.failure.detail);
  if (answer.reason === 'unsupported')
    throw new Error(`manifests of type ${answer.mediaType} are not mirrored`);
  throw new Error(
    answer.reason === 'not-found' ? 'there is no such image' : 'the registry refuses the image',
  );
}

async function addressesOf(host: string, timeout: number, signal: AbortSignal | undefined): Promise<string> {
  using deadline = new Deadline(timeout);
  const signals = [deadline.signal, ...(signal ? [signal] : [])];
  const addresses = await unlessAborted(lookup(host, { all: true }), AbortSignal.any(signals));
  return addresses.map(({ address }) => address).join(', ');
}

async function connected(
  host: string,
  port: number,
  timeout: number,
  signal: AbortSignal | undefined,
): Promise<string> {
  const socket = connectTcp({ host, port, ...(signal && { signal }) });
  try {
    await settled(socket, 'connect', timeout);
    return `${socket.remoteAddress} port ${port}`;
  } finally {
    socket.destroy();
  }
}

/** Begins TLS as a request would: through the tunnel of the proxy, if there is one. */
async function certificateOf(options: StepsOptions, proxy: ProxyOptions | undefined): Promise<string> {
  const { upstream, egress, limits, signal } = options;
  const { url } = upstream;
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const trusted = [...(egress?.authorities ?? []), ...(upstream.authorities ?? [])];
  const secure = trusted.length > 0 && { secureContext: trusting(trusted) };
  const timeout = limits.connect;
  const tunnel = proxy && (await openTunnel({ proxy, target: url, timeout, ...secure }));
  const socket: TLSSocket = connectTls({
    ...(tunnel === undefined ? { host, port: Number(url.port) || 443 } : { socket: tunnel }),
    ...{ ALPNProtocols: ['http/1.1'], ...(signal && { signal }) },
    ...(isIP(host) === 0 ? { servername: host } : { host }),
    ...secure,
  });
  try {
    await settled(socket, 'secureConnect', timeout);
    const { valid_to: until, issuer } = socket.getPeerCertificate();
    return `${socket.getProtocol()}, issued by ${issuer.O ?? issuer.CN}, good until ${until}`;
  } finally {
    socket.destroy();
    tunnel?.destroy();
  }
}

/** @throws why the socket did not connect */
async function settled(socket: Socket, event: 'connect' | 'secureConnect', timeout: number): Promise<void> {
  using deadline = new Deadline(timeout);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once(event, resolve).on('error', reject);
  await deadline.bound(promise);
}
