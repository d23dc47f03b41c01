import type { Config, Upstream } from '../config/config.ts';
import type { UpstreamOptions } from '../core/upstream/upstream.ts';
import { readAuthorities } from '../platform/authority-file.ts';
import type { EgressOptions } from '../platform/egress/proxy-rules.ts';

/** The upstreams as the core is given them, with the files of authorities read. */
export function upstreamOptions({ upstreams }: Config): Promise<readonly UpstreamOptions[]> {
  return Promise.all(upstreams.map(optionsOf));
}

async function optionsOf({ url, ca, ...upstream }: Upstream): Promise<UpstreamOptions> {
  return {
    ...upstream,
    url: new URL(url),
    ...(ca !== undefined && { authorities: await authoritiesIn(ca) }),
  };
}

/** The way out as a role is given it, with the file of authorities read; undefined if there is nothing special about it. */
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
