import type { IncomingMessage } from 'node:http';

/**
 * Headers that two readers could interpret differently if they occur twice. Node silently keeps the first of
 * each.
 */
const SINGLE: ReadonlySet<string> = new Set(['host', 'authorization', 'content-length', 'content-type']);

/**
 * Returns why the framing of a request is ambiguous, or undefined if it is not. Node's parser refuses most
 * requests that smuggling is made of, except these.
 */
export function ambiguousFraming(request: IncomingMessage): string | undefined {
  const { method, rawHeaders, httpVersion } = request;
  if (httpVersion !== '1.1') return `HTTP/${httpVersion} is not served`;
  const seen: string[] = [];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]?.toLowerCase() ?? '';
    if (!SINGLE.has(name)) continue;
    if (seen.includes(name)) return `the header ${name} occurs twice`;
    seen.push(name);
  }
  if (hasBody(request) && (method === 'GET' || method === 'HEAD')) return `a ${method} has no body`;
  return undefined;
}

export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}
