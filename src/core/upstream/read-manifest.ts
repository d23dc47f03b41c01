import { readBody } from '../../platform/read-body.ts';
import { type Digest, matchesDigest, parseDigest, sha256Of, startHash } from '../../registry/digest.ts';
import {
  type ManifestMediaType,
  parseManifestMediaType,
  parseUnmirroredMediaType,
} from '../../registry/media-type.ts';
import type { Reference } from '../../registry/reference.ts';
import type { Repository } from '../../registry/repository.ts';
import { MAX_DOCUMENT_SIZE } from '../limits.ts';
import { manifestTypeOf } from './manifest-type.ts';
import { displayedType, typeOf } from './registry-refusal.ts';
import { discard } from './transport.ts';
import { sizeIn, type UpstreamResponse } from './upstream-response.ts';
import { ok, type UpstreamRefusal, type UpstreamResult, unfit } from './upstream-result.ts';

export interface ManifestHead {
  readonly digest: Digest;
  readonly mediaType: ManifestMediaType;
  readonly size: number;
}

export interface UpstreamManifest extends ManifestHead {
  readonly bytes: Buffer;
}

/**
 * Reads a HEAD. Some registries omit the digest, the length or the type. Then the result is `undefined`,
 * because only the manifest can tell.
 */
export function readHead(
  response: UpstreamResponse,
  repository: Repository,
  reference: Reference,
): UpstreamResult<ManifestHead | undefined> {
  discard(response);
  const type = typeOf(response);
  const mediaType = parseManifestMediaType(type ?? '');
  if (mediaType === undefined) {
    const answer = unsupportedType(repository, type);
    return answer.kind === 'denied' ? answer : ok(undefined);
  }
  const digest = digestIn(response);
  if (reference.kind === 'digest' && digest !== undefined && digest !== reference.digest)
    return unfit(repository, 'asked for one digest, it answers with another');
  const size = sizeIn(response);
  return ok(digest === undefined || !size ? undefined : { digest, mediaType, size });
}

/** @throws if the body breaks off or takes longer than the deadline. */
export async function readManifest(
  response: UpstreamResponse,
  repository: Repository,
  reference: Reference,
): Promise<UpstreamResult<UpstreamManifest>> {
  const bytes = await readBody(response.body, MAX_DOCUMENT_SIZE);
  if (bytes === undefined) return unfit(repository, 'a manifest is larger than 4 MiB');
  const label = typeOf(response);
  const type = manifestTypeOf(label, bytes) ?? label;
  const mediaType = parseManifestMediaType(type ?? '');
  if (mediaType === undefined) return unsupportedType(repository, type);
  const named = reference.kind === 'digest' ? reference.digest : digestIn(response);
  if (named !== undefined && !matchesDigest(startHash(named).update(bytes), named))
    return unfit(repository, 'a manifest is not what its digest says');
  return ok({ digest: named ?? sha256Of(bytes), mediaType, size: bytes.length, bytes });
}

function digestIn({ headers }: UpstreamResponse): Digest | undefined {
  return parseDigest(String(headers['docker-content-digest']));
}

/**
 * Refuses an answer of another type: a manifest of a type that is not mirrored is `unsupported`, and a page
 * of HTML is invalid.
 */
function unsupportedType(repository: Repository, type: string | undefined): UpstreamRefusal {
  const mediaType = parseUnmirroredMediaType(type ?? '');
  if (mediaType !== undefined) return { kind: 'denied', reason: 'unsupported', mediaType };
  const name = displayedType(type);
  return unfit(
    repository,
    name === undefined ? 'a manifest has no valid media type' : `${name} is no type of a manifest`,
  );
}
