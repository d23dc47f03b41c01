import { credentialsOf } from '../../../config/config.ts';
import { describeEgress } from '../../../config/egress.ts';
import { STANDARD_LIMITS } from '../../../core/limits.ts';
import { createRegistryClient } from '../../../core/upstream/registry-client.ts';
import { createTransport } from '../../../core/upstream/transport.ts';
import { largestQuota } from '../../../core/upstream/upstream-accounts.ts';
import { egressOptions, upstreamOptions } from '../../../launch/upstream-options.ts';
import { openUrlClient } from '../../../platform/ipc/http-client.ts';
import { createLogger } from '../../../platform/log.ts';
import { reasonOf } from '../../../platform/reason.ts';
import {
  CORE_STATUS,
  type CoreStatus,
  UPSTREAM_CHECKS,
  type UpstreamChecks,
} from '../../../protocol/core-api.ts';
import type { UpstreamHost } from '../../../registry/repository.ts';
import { askRole } from '../../ask-role.ts';
import { type Check, type Finding, type Looked, unknown, wrong } from '../checks.ts';
import { budget } from './budget.ts';
import type { ExaminedServer } from './server.ts';

/** The current answer of one upstream. */
type Examined = Omit<UpstreamChecks[number], 'milliseconds'> &
  Pick<CoreStatus['upstreams'][number], 'quota'> & { readonly hasCredential: boolean };

/** The milliseconds by which clocks may differ. JWTs and certificates allow little more. */
const SKEW = 60_000;
/** The part of the quota that is as good as nothing if no more is left. */
const LITTLE = 0.05;
const CORE_DEADLINE = 10_000;

export function upstreamChecks(server: ExaminedServer): readonly Check[] {
  const { coreUrl, egress } = server.config;
  const proxy = describeEgress(egress);
  if (coreUrl !== undefined) return [{ name: 'core', look: () => checkCore(new URL(coreUrl)) }];
  let examined: Promise<readonly Examined[]> | undefined;
  const each = (name: string, find: (upstream: Examined) => readonly Finding[], said = ''): Check => ({
    name,
    look: async () => {
      examined ??= examine(server);
      return { findings: (await examined).flatMap(find), ...(said !== '' && { said }) };
    },
  });
  // If an upstream is not reachable, the first check says so, and the others have nothing to report.
  const reached = (find: (upstream: Examined) => readonly Finding[]) => (upstream: Examined) =>
    upstream.trouble === null ? find(upstream) : [];
  return [
    each('upstreams', (one) => checkReachability(one, proxy), proxy && `by the proxy ${proxy}`),
    each('credentials', reached(checkCredentials)),
    each('read-only credentials', reached(checkPushRights)),
    each('quota', reached(checkQuota)),
    { name: 'limits', look: () => budget(server) },
    each('clock', checkClock),
  ];
}

/**
 * Asks the core if one runs, because it has the credential and the network that count. Otherwise this process
 * examines the upstreams.
 */
async function examine(server: ExaminedServer): Promise<readonly Examined[]> {
  const { paths, config } = server;
  const hasCredential = (host: string) =>
    config.upstreams.some((one) => one.host === host && credentialsOf(one).length > 0);
  if (server.core === undefined) return examineHere(server);
  const question = { method: 'POST', path: '/upstreams/check', schema: UPSTREAM_CHECKS } as const;
  const checked = await askRole(paths.coreSocket, question);
  if (typeof checked === 'string') throw new Error('the core has gone meanwhile');
  const status = await askRole(paths.coreSocket, { method: 'GET', path: '/status', schema: CORE_STATUS });
  const known = typeof status === 'string' ? [] : status.answer.upstreams;
  return checked.answer.map((one) => ({
    ...one,
    quota: known.find(({ host }) => host === one.host)?.quota ?? null,
    hasCredential: hasCredential(one.host),
  }));
}

async function examineHere({ config, clock }: ExaminedServer): Promise<readonly Examined[]> {
  const log = createLogger('doctor', config.log);
  log.level = 'silent';
  const egress = await egressOptions(config);
  await using transport = createTransport({ limits: STANDARD_LIMITS, log, ...(egress && { egress }) });
  const upstreams = await upstreamOptions(config);
  using client = createRegistryClient({ upstreams, transport, limits: STANDARD_LIMITS, clock, log });
  const examineOne = async (host: UpstreamHost, hasCredential: boolean): Promise<Examined> => {
    const checked = await client.check(host);
    return { host, ...checked, quota: largestQuota(client.accounts(host)) ?? null, hasCredential };
  };
  // The result is awaited here, because the connections end with this function.
  return await Promise.all(
    config.upstreams.map((upstream) => examineOne(upstream.host, credentialsOf(upstream).length > 0)),
  );
}

async function checkCore(url: URL): Promise<Looked> {
  await using client = openUrlClient(url);
  try {
    const { statusCode: status, body } = await client.request({
      method: 'GET',
      path: '/v2/',
      deadline: CORE_DEADLINE,
    });
    await body.dump();
    if (status === 200) return { findings: [] };
    const mend = 'look at that registry: the gate needs one that answers it without a login';
    return { findings: [wrong(`core.url ${url.origin}`, `answers ${status} to /v2/`, mend)] };
  } catch (error) {
    const mend = 'start that registry, or correct core.url in config/hubgate.yaml';
    return {
      findings: [wrong(`core.url ${url.origin}`, `cannot be reached: ${reasonOf(error)}`, mend)],
    };
  }
}

function checkReachability({ host, trouble }: Examined, proxy: string): Finding[] {
  if (trouble === null) return [];
  const mend = `${fixFor(host, trouble, proxy)}; what is cached is still served`;
  return [wrong(`upstream ${host}`, `cannot be reached: ${trouble}`, mend)];
}

/** Returns the advice for a failure. Advice that fits the message is better than a guess. */
function fixFor(host: string, trouble: string, proxy: string): string {
  if (trouble.includes('certificate'))
    return `if it is right, put the certificate of its authority into a file, and name that in upstreams.${host}.ca, or in egress.ca if a proxy inspects TLS`;
  if (trouble.includes('the proxy ')) return 'check that proxy, the section egress and HTTPS_PROXY';
  if (trouble.includes(`upstreams.${host}.`)) return `check that key, or upstreams.${host}.url`;
  const ways = proxy === '' ? '' : `, the proxy ${proxy}`;
  return `check the network, its DNS and its firewall${ways}, or upstreams.${host}.url`;
}

/** The credential of an upstream, or those of its accounts, each as people call it. */
function credentialsIn({ accounts, ...upstream }: Examined) {
  const only = { ...upstream, it: 'the credential', key: '' };
  if (accounts === undefined) return [only];
  return accounts.map((account) => {
    const it = `the credential of the account ${account.name}`;
    return { ...upstream, ...account, it, key: '.accounts' };
  });
}

function checkCredentials(upstream: Examined): Finding[] {
  return credentialsIn(upstream).flatMap(({ host, credential, it, key }) => {
    if (credential !== 'refused') return [];
    const place = `in upstreams.${host}${key}: its passwordFile, or its credentialHelper`;
    const mend = `make another access token there, and put it where the credential comes from ${place}; no restart is needed for that`;
    return [wrong(`upstream ${host}`, `refuses ${it}`, mend)];
  });
}

function checkPushRights(upstream: Examined): Finding[] {
  return credentialsIn(upstream).flatMap(({ host, credential, mayPush, it }) => {
    if (credential !== 'accepted' || mayPush === false) return [];
    if (mayPush === null) {
      const mend = 'look there whether it is read-only: its token service does not say what a token grants';
      return [unknown(`upstream ${host}`, `may let ${it} push`, mend)];
    }
    const mend = 'make a read-only access token there, and put it in the place of this one';
    return [wrong(`upstream ${host}`, `lets ${it} push, and a mirror only ever pulls`, mend)];
  });
}

function checkQuota({ host, quota, hasCredential }: Examined): Finding[] {
  if (quota === null || quota.remaining > quota.limit * LITTLE) return [];
  const hours = Math.round(quota.window / 360) / 10;
  const what = `has ${quota.remaining} of ${quota.limit} pulls left in ${hours} h${quota.source === undefined ? '' : `, for ${quota.source}`}`;
  const mend = hasCredential
    ? 'wait, or take an account with a larger quota; what is cached is still served'
    : `give upstreams.${host} a username and a passwordFile: this is the quota of whoever has no account`;
  return [wrong(`upstream ${host}`, what, mend)];
}

function checkClock({ host, ahead }: Examined): Finding[] {
  if (ahead === null || Math.abs(ahead) <= SKEW) return [];
  const seconds = Math.round(Math.abs(ahead) / 1000);
  const mend = 'set this machine’s clock by NTP: tokens and certificates are judged by it';
  return [wrong('the clock', `is ${seconds} s ${ahead > 0 ? 'ahead of' : 'behind'} that of ${host}`, mend)];
}
