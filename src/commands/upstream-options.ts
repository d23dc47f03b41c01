import type { Config, Upstream } from '../config/config.ts';
import type { UpstreamOptions } from '../core/upstream/upstream.ts';
import { readAuthorities } from '../platform/authority-file.ts';

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

/** @throws if the file cannot be used */
async function authoritiesIn(file: string): Promise<readonly string[]> {
  const read = await readAuthorities(file);
  if ('faults' in read) throw new Error(`${file} ${read.faults[0]?.message}`);
  return read.value.map((authority) => authority.toString());
}
