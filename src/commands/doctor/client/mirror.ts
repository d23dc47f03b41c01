import { parseImage } from '../../../registry/image.ts';
import type { ServerPeer } from '../connection.ts';

/** The mirror as this host knows it. */
export interface ProbedMirror extends NamedMirror {
  /** The addresses that its name means on this host; empty if it means none. */
  readonly addresses: readonly string[];
}

/** The mirror as clients name it, and the image whose pull is tried. */
export interface NamedMirror extends ServerPeer {
  /** The origin, such as `https://mirror.corp:8443`. */
  readonly origin: string;
  /**
   * The host and port as image names and directories of certificates have them, without the port if it is
   * 443.
   */
  readonly authority: string;
  /** The repository of Docker Hub, such as `library/alpine`. */
  readonly repository: string;
  readonly tag: string;
}

export function parseMirror(text: string, image: string): NamedMirror | { readonly refusal: string } {
  const url = URL.parse(text.includes('://') ? text : `https://${text}`);
  const isBare =
    url !== null && url.pathname === '/' && `${url.search}${url.hash}${url.username}${url.password}` === '';
  if (!isBare || url.protocol !== 'https:')
    return {
      refusal: `"${text}" is no mirror; expected one such as mirror.corp or https://mirror.corp:8443`,
    };
  const parsed = parseImage(image);
  if (parsed === undefined || parsed.repository.upstream !== 'docker.io')
    return { refusal: `"${image}" is no image of Docker Hub; expected one such as library/alpine:latest` };
  return {
    origin: url.origin,
    authority: url.host,
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port || 443),
    repository: parsed.repository.path,
    tag: parsed.tag ?? 'latest',
  };
}

/**
 * True if a setting names the mirror: with a scheme, as daemons have it, or as the beginning of an image's
 * name.
 */
export function isMirror({ origin, authority }: NamedMirror, setting: unknown): boolean {
  if (typeof setting !== 'string') return false;
  return setting.includes('://')
    ? URL.parse(setting)?.origin === origin
    : setting === authority || setting.startsWith(`${authority}/`);
}
