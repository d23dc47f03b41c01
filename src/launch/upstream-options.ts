import { compilePattern, matchesPattern } from '../access/pattern.ts';
import type { Config, Upstream, UpstreamAccountConfig } from '../config/config.ts';
import type { UpstreamAccount, UpstreamOptions } from '../core/upstream/upstream.ts';
import { readAuthorities } from '../platform/authority-file.ts';
import type { EgressOptions } from '../platform/egress/proxy-rules.ts';

/** Returns the upstreams in the form that the core needs, after reading the files of their authorities. */
export function upstreamOptions({ upstreams }: Config): Promise<readonly UpstreamOptions[]> {
  return Promise.all(upstreams.map(optionsOf));
}

async function optionsOf({ url, ca, accounts, ...upstream }: Upstream): Promise<UpstreamOptions> {
  return {
    ...upstream,
    url: new URL(url),
    ...(accounts !== undefined && { accounts: accounts.map(accountOf) }),
    ...(ca !== undefined && { authorities: await authoritiesIn(ca) }),
  };
}

function accountOf({ only, ...account }: UpstreamAccountConfig): UpstreamAccount {
  if (only === undefined) return account;
  const patterns = only.map(compilePattern);
  return { ...account, only: (name) => patterns.some((pattern) => matchesPattern(pattern, name, undefined)) };
}

/**
 * Returns the egress in the form that a role needs, after reading the file of its authorities; undefined if
 * nothing is configured.
 */
export async function egressOptions({ egress }: Config): Promise<EgressOptions | undefined> {
  const { ca, ...proxies } = egress;
  if (ca === undefined && proxies.https === undefined && proxies.http === undefined) return undefined;
  return { ...proxies, ...(ca !== undefined && { authorities: await authoritiesIn(ca) }) };
}

/** @throws if the file cannot be used */
async function authoritiesIn(file: string): Promise<readonly string[]> {
  const read = await readAuthorities(file);
  if ('faults' in read) throw new Error(`${file} ${read.faults[0]?.message}`);
  return read.value.map((authority) => authority.toString());
}
