import { X509Certificate } from 'node:crypto';
import type { Config } from '../../config/config.ts';
import type { HomePaths } from '../../config/home.ts';
import { localCaOf } from '../../pki/local-ca.ts';
import { readAuthorities } from '../../platform/authority-file.ts';
import { isLoopback } from '../../platform/network.ts';
import { reasonOf } from '../../platform/reason.ts';
import { readIfPresent } from '../../platform/regular-file.ts';
import type { KitMirror, KitRefusal } from './kit.ts';

/** Returns the mirror as clients see it: by the configured address and the certificate that exists. */
export async function mirrorOf(config: Config, { ca }: HomePaths): Promise<KitMirror | KitRefusal> {
  const { url } = config.server;
  const { certificate } = config.tls;
  const found = await readIfPresent(certificate).catch((error: Error) => error);
  if (found instanceof Error) return { refusal: `${certificate} cannot be read: ${reasonOf(found)}` };
  if (found === undefined)
    return {
      refusal: `${certificate} is not there yet, so it cannot be said whom clients have to trust; the first hubgate start makes it`,
    };
  const authority = await localCaOf({ ca, server: config.tls });
  return {
    url,
    host: new URL(url).host,
    upstreams: config.upstreams.map(({ host }) => host),
    ...(authority !== undefined && { ca: authority }),
  };
}

/** Returns why the mirror would not accept a certificate of the local CA; undefined if it would. */
export async function uncounted({ tls }: Config, { ca }: HomePaths): Promise<KitRefusal | undefined> {
  if (tls.clientCa === undefined) return undefined;
  const authorities = await readAuthorities(tls.clientCa);
  const text = await readIfPresent(ca.certificate).catch(() => undefined);
  const own = text === undefined ? undefined : new X509Certificate(text).fingerprint256;
  if ('value' in authorities && authorities.value.some(({ fingerprint256 }) => fingerprint256 === own))
    return undefined;
  return {
    refusal: `certificates of the local CA do not count here: tls.clientCa is ${tls.clientCa}, and ${ca.certificate} is not in it. Add it, or let that authority issue the certificate`,
  };
}

/** Returns the lines about a loopback address, a problem that no file can solve. */
export function loopbackLines({ url }: KitMirror): string[] {
  if (!isLoopback(new URL(url).hostname)) return [];
  return [
    `Any other machine: ${url} is this one’s own. Set server.url to a name that clients know, and do this again.`,
    'dockerd, even on this machine: it reads no certificates for a loopback address.',
  ];
}
