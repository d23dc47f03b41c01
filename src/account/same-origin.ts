import type { IncomingHttpHeaders } from 'node:http';

/**
 * True if a page of this very origin sent the request. Browsers say so by `Sec-Fetch-Site`, which no page can
 * set or remove. Older ones send only `Origin`, with every POST.
 */
export function isSameOrigin(headers: IncomingHttpHeaders): boolean {
  const site = headers['sec-fetch-site'];
  if (site !== undefined) return site === 'same-origin';
  const { origin, host } = headers;
  return (
    origin !== undefined && host !== undefined && origin.toLowerCase() === `https://${host.toLowerCase()}`
  );
}
