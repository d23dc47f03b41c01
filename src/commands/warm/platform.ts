import { z } from 'zod';
import type { Parsed } from '../../platform/fault.ts';

/** The platform of an image, as the OCI image index and `--platform` write it. */
export const PLATFORM = z.object({
  os: z.string(),
  architecture: z.string(),
  variant: z.string().optional(),
});
export type Platform = Readonly<z.output<typeof PLATFORM>>;

/** The default is what most nodes are. Each platform of an image costs a pull of the quota. */
const DEFAULT_PLATFORM: Platform = { os: 'linux', architecture: 'amd64' };

const WRITTEN = /^(?<os>[a-z0-9]+)\/(?<architecture>[a-z0-9_]+)(?:\/(?<variant>[a-z0-9.]+))?$/;

/** Parses `os/arch` or `os/arch/variant`. */
function parsePlatform(text: string): Platform | undefined {
  return PLATFORM.safeParse(WRITTEN.exec(text)?.groups).data;
}

function formatPlatform({ os, architecture, variant }: Platform): string {
  return [os, architecture, variant].filter((part) => part !== undefined).join('/');
}

/** The variant of an image that names none, as containerd assumes it. */
const VARIANTS: Readonly<Record<string, string>> = { arm64: 'v8', arm: 'v7', amd64: 'v1' };

/** True if an image for `platform` is wanted. If no variant is wanted, every variant matches. */
function isWanted(platform: Platform, { os, architecture, variant }: Platform): boolean {
  return (
    platform.os === os &&
    platform.architecture === architecture &&
    (variant === undefined || (platform.variant ?? VARIANTS[architecture]) === variant)
  );
}

/** Decides which of the manifests in an index are fetched. */
export class PlatformChoice {
  /** The wanted platforms. An empty list means all, including attestations. */
  readonly #wanted: readonly Platform[];

  constructor(wanted: readonly Platform[]) {
    this.#wanted = wanted;
  }

  /** A manifest without a platform may be for any platform. */
  includes(platform: Platform | undefined): boolean {
    if (platform === undefined || this.#wanted.length === 0) return true;
    return this.#wanted.some((one) => isWanted(platform, one));
  }

  /**
   * Returns the wanted platforms that an index lacks. An image without an index does not say its platform, so
   * nothing is missing.
   */
  missing(built: readonly Platform[]): readonly string[] {
    if (built.length === 0) return [];
    return this.#wanted
      .filter((one) => !built.some((platform) => isWanted(platform, one)))
      .map(formatPlatform);
  }

  toString(): string {
    return this.#wanted.length === 0 ? 'all platforms' : formatPlatforms(this.#wanted);
  }
}

export function formatPlatforms(platforms: readonly Platform[]): string {
  return platforms.map(formatPlatform).join(', ');
}

/** Parses `--platform`: none, some, or `all`. */
export function parsePlatforms(written: readonly string[]): Parsed<PlatformChoice> {
  if (written.includes('all')) return { value: new PlatformChoice([]) };
  const platforms = written.map(parsePlatform);
  const faults = written
    .filter((_, index) => platforms[index] === undefined)
    .map((text) => ({
      source: '--platform',
      message: `"${text}" is no platform: OS/ARCH or OS/ARCH/VARIANT as linux/arm64, or all`,
    }));
  if (faults.length > 0) return { faults };
  const wanted = platforms.filter((one) => one !== undefined);
  return { value: new PlatformChoice(wanted.length === 0 ? [DEFAULT_PLATFORM] : wanted) };
}
