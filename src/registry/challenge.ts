/** `WWW-Authenticate` in both directions: RFC 9110 §11.6.1, and the token specification's `Bearer` parameters. */
export interface BearerChallenge {
  readonly realm: string;
  readonly service?: string;
  readonly scope?: string;
  readonly error?: 'invalid_token' | 'insufficient_scope';
}

/**
 * Our own challenge. Parameters without a value are left out, because an empty one (`scope=""`) ends the parsing in
 * docker, skopeo and go-containerregistry, and the realm is lost.
 */
export function writeChallenge({ realm, service, scope, error }: BearerChallenge): string {
  const parameters = Object.entries({ realm, service, scope, error }).filter(
    ([, value]) => value !== undefined,
  );
  return `Bearer ${parameters.map(([key, value]) => `${key}="${value}"`).join(',')}`;
}

export interface UpstreamChallenge {
  readonly scheme: 'bearer' | 'basic';
  readonly parameters: ReadonlyMap<string, string>;
}

const PARAMETER = /([a-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))/gi;

/** An upstream's challenge. Only the first is read: a registry that means several sends the best one first. */
export function readChallenge(header: string): UpstreamChallenge | undefined {
  const scheme = /^\s*(bearer|basic)\b/i.exec(header)?.[1]?.toLowerCase();
  if (scheme !== 'bearer' && scheme !== 'basic') return undefined;
  const parameters = new Map<string, string>();
  for (const [, key, quoted, bare] of header.matchAll(PARAMETER)) {
    const name = key?.toLowerCase() ?? '';
    if (!parameters.has(name)) parameters.set(name, quoted?.replace(/\\(.)/g, '$1') ?? bare ?? '');
  }
  return { scheme, parameters };
}
