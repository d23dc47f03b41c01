import { getDomain } from 'tldts';
import { isLoopback } from '../../platform/network.ts';
import type { UpstreamOptions } from './upstream.ts';

/**
 * Tells whether the token service that an upstream's challenge names may be asked. `own` means that it may
 * also get the credential. `elsewhere` means that it is asked anonymously, and only at an address to which a
 * redirect may lead.
 */
export type RealmVerdict = 'own' | 'elsewhere' | { readonly refused: string };

export function judgeRealm(realm: URL, upstream: UpstreamOptions): RealmVerdict {
  const { url, host, credential } = upstream;
  const refused = (why: string) => ({
    refused: `names a token service on ${realm.host || 'no host'}, ${why}`,
  });
  if (realm.username !== '' || realm.password !== '') return refused('with a login in its address');
  if (realm.protocol !== 'https:' && realm.protocol !== 'http:') return refused('which is not asked by HTTP');
  if (realm.protocol === 'http:' && !mayBeWithoutTls(upstream))
    return refused(`without TLS; to allow it, set upstreams.${host}.insecure: true`);
  if (isOwn(realm, url) || upstream.tokenServices?.includes(realm.origin) === true) return 'own';
  if (credential === undefined) return 'elsewhere';
  return refused(
    `which is not its own, so that the credential is not sent there; to allow it, set upstreams.${host}.tokenServices: ["${realm.origin}"]`,
  );
}

function isOwn(realm: URL, url: URL): boolean {
  if (realm.hostname === url.hostname) return true;
  if (isLoopback(url.hostname)) return isLoopback(realm.hostname);
  // An example is registry-1.docker.io and auth.docker.io. Private suffixes count, so that a.github.io does
  // not vouch for b.github.io.
  const domain = getDomain(url.hostname, { allowPrivateDomains: true });
  return domain !== null && domain === getDomain(realm.hostname, { allowPrivateDomains: true });
}

/**
 * Returns why a redirect of `upstream` is not followed to `target`, as far as the URL tells; undefined if it
 * may be. The addresses to which the connection may lead are checked when it is made.
 */
export function whyNoRedirect(target: URL, upstream: UpstreamOptions): string | undefined {
  if (target.username !== '' || target.password !== '') return 'with a login in the address';
  if (target.protocol === 'https:' || (target.protocol === 'http:' && mayBeWithoutTls(upstream)))
    return undefined;
  return target.protocol === 'http:'
    ? `without TLS; to allow it, set upstreams.${upstream.host}.insecure: true`
    : 'which is not asked by HTTP';
}

/** True if the token service and the redirects of an upstream may be without TLS. */
function mayBeWithoutTls({ url, insecure = false }: UpstreamOptions): boolean {
  return insecure || url.protocol === 'http:';
}
