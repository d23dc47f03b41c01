import { isObject, propertyOf } from '../../platform/object-properties.ts';
import { type Digest, parseDigest } from '../../registry/digest.ts';
import {
  isDistributable,
  type ManifestMediaType,
  parseManifestMediaType,
} from '../../registry/media-type.ts';
import { parseManifest } from '../pull/validate-document.ts';
import { MAX_REFERRERS_PAGE, REFERRER_SIZE } from './limits.ts';
import { type HostedRefusal, refuseWrite } from './refusal.ts';

/** The facts about a manifest that a repository needs. */
export interface PushedManifest {
  readonly kind: 'valid';
  readonly mediaType: ManifestMediaType;
  readonly bytes: Buffer;
  /** The blobs that must be in the repository. */
  readonly blobs: readonly Digest[];
  /** The layers that may be elsewhere. */
  readonly layersElsewhere: readonly Digest[];
  /** The entries of an index. They must be in the repository, and may be blobs, as in a cache of BuildKit. */
  readonly manifests: readonly Digest[];
  readonly subject: Digest | undefined;
  /** The type by which a list of referrers describes and filters it. */
  readonly artifactType: string | undefined;
  /** The JSON of its annotations, if it refers to a subject. Lists of referrers have them. */
  readonly annotations: string | undefined;
}

/** The longest type by RFC 6838. */
const LONGEST_TYPE = 255;

/** Parses the body of a push. The type of the manifest is that of the request. */
export function parsePushedManifest(bytes: Buffer, contentType: string): PushedManifest | HostedRefusal {
  const mediaType = parseManifestMediaType(contentType);
  if (mediaType === undefined)
    return refuseWrite(
      'MANIFEST_INVALID',
      'the Content-Type is not one of an image manifest or an image index',
    );
  const document = parseManifest(bytes, mediaType);
  if (typeof document === 'string') return refuseWrite('MANIFEST_INVALID', `the manifest is ${document}`);
  const { here = [], elsewhere = [] } = Object.groupBy(listOf(document, 'layers'), (layer) =>
    isDistributable(textOf(layer, 'mediaType')) ? 'here' : 'elsewhere',
  );
  const blobs = digestsOf([propertyOf(document, 'config'), ...here]);
  const layersElsewhere = digestsOf(elsewhere);
  const manifests = digestsOf(listOf(document, 'manifests'));
  const subjectDescriptor = propertyOf(document, 'subject');
  const [subject] = digestsOf([subjectDescriptor]) ?? [];
  if (
    blobs === undefined ||
    layersElsewhere === undefined ||
    manifests === undefined ||
    (isObject(subjectDescriptor) && subject === undefined)
  )
    return refuseWrite('MANIFEST_INVALID', 'the manifest has a descriptor without a valid digest');
  const artifactType =
    textOf(document, 'artifactType') ?? textOf(propertyOf(document, 'config'), 'mediaType');
  // PostgreSQL stores no text with this character, which no media type has.
  if (artifactType?.includes('\0'))
    return refuseWrite('MANIFEST_INVALID', 'the type of the artifact has a NUL character');
  // A list of referrers has the type of each.
  if (artifactType !== undefined && artifactType.length > LONGEST_TYPE)
    return refuseWrite(
      'MANIFEST_INVALID',
      `the type of the artifact is longer than ${LONGEST_TYPE} characters`,
    );
  const annotations = subject === undefined ? undefined : annotationsIn(document);
  if (annotations !== undefined && Buffer.byteLength(annotations) > MAX_REFERRERS_PAGE - REFERRER_SIZE)
    return refuseWrite('MANIFEST_INVALID', 'the annotations are longer than a list of referrers may be');
  return {
    kind: 'valid',
    mediaType,
    bytes,
    blobs,
    layersElsewhere,
    manifests,
    subject,
    artifactType,
    annotations,
  };
}

function annotationsIn(document: object): string | undefined {
  const annotations = propertyOf(document, 'annotations');
  return isObject(annotations) ? JSON.stringify(annotations) : undefined;
}

/** Returns each digest once; undefined if a descriptor has none. */
function digestsOf(descriptors: readonly unknown[]): readonly Digest[] | undefined {
  const digests = new Set<Digest>();
  for (const descriptor of descriptors) {
    if (descriptor === undefined || descriptor === null) continue;
    const digest = parseDigest(textOf(descriptor, 'digest') ?? '');
    if (digest === undefined) return undefined;
    digests.add(digest);
  }
  return [...digests];
}

function listOf(document: unknown, name: string): readonly unknown[] {
  const list = propertyOf(document, name);
  return Array.isArray(list) ? list : [];
}

function textOf(value: unknown, name: string): string | undefined {
  const text = propertyOf(value, name);
  return typeof text === 'string' && text !== '' ? text : undefined;
}
