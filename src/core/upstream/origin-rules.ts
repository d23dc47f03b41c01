import { getDomain } from 'tldts';
import { isLoopback } from '../../config/values.ts';

/** May the token service of `realm` be asked, and be shown the credential, on the word of `upstream`'s challenge? */
export function isRealmAllowed(realm: URL, upstream: URL): boolean {
  if (realm.username !== '' || realm.password !== '') return false;
  if (realm.protocol !== 'https:' && !(realm.protocol === 'http:' && upstream.protocol === 'http:'))
    return false;
  if (realm.hostname === upstream.hostname) return true;
  if (isLoopback(upstream.hostname)) return isLoopback(realm.hostname);
  // registry-1.docker.io and auth.docker.io. Private suffixes count, so that a.github.io vouches for no b.github.io.
  const domain = getDomain(upstream.hostname, { allowPrivateDomains: true });
  return domain !== null && domain === getDomain(realm.hostname, { allowPrivateDomains: true });
}

/**
 * May a redirect of `upstream` be followed to `target`, as far as the URL says? To which addresses the connection then
 * may go is `lookupOnly`'s to judge.
 */
export function isRedirectAllowed(target: URL, upstream: URL): boolean {
  if (target.username !== '' || target.password !== '') return false;
  return target.protocol === 'https:' || (target.protocol === 'http:' && upstream.protocol === 'http:');
}
