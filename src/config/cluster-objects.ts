import { z } from 'zod';
import { isLoopback } from '../platform/network.ts';
import { type PartReader, section } from '../platform/yaml/yaml-schema.ts';
import { optional } from './schema.ts';
import { BOOLEAN, origin } from './values.ts';

/** The S3-compatible store in which the nodes of a cluster keep blobs. */
export interface ObjectsConfig {
  /** The origin of the store, such as `https://s3.eu-west-1.amazonaws.com`. */
  readonly endpoint: string;
  readonly bucket: string;
  /** The prefix of all keys, without a slash at the end. If it is empty, the keys begin with `blobs`. */
  readonly prefix: string;
  readonly region: string;
  /** Absolute paths. Only the core reads the files. */
  readonly accessKeyFile: string;
  readonly secretKeyFile: string;
}

const AN_ENDPOINT = 'the address of an S3-compatible store, such as https://s3.eu-west-1.amazonaws.com';
const A_BUCKET = 'the name of a bucket, such as hubgate-cache';
const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
const A_PREFIX = 'a prefix of keys such as mirror/eu: letters, digits, . _ - and / between them';
const PREFIX = /^[A-Za-z0-9_-][A-Za-z0-9._-]*(?:\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*\/?$/;
const MAX_PREFIX = 200;
const A_REGION = 'the name of a region, such as eu-west-1';
const REGION = /^[a-z0-9-]{1,40}$/;
const FILE = z.string('a path').min(1, 'a path');
/** The region that stores accept which have none. */
const USUAL_REGION = 'us-east-1';

export const OBJECTS_KEYS = {
  endpoint: optional(
    origin(['https:', 'http:'], AN_ENDPOINT),
    'none; it is required',
    'The address of the store. If its host begins with the name of the bucket, the bucket is not in the path of a request. `http://` is allowed on loopback, or with `insecure`.',
  ),
  bucket: optional(
    z.string(A_BUCKET).regex(BUCKET, A_BUCKET),
    'none; it is required',
    'The bucket, which must exist. Only this cluster may use it below the prefix.',
  ),
  prefix: optional(
    z.string(A_PREFIX).max(MAX_PREFIX, A_PREFIX).regex(PREFIX, A_PREFIX),
    'none',
    'What all keys begin with. Each cluster has its own.',
  ),
  region: optional(
    z.string(A_REGION).regex(REGION, A_REGION),
    `\`${USUAL_REGION}\``,
    'The region, for stores that have several.',
  ),
  accessKeyFile: optional(
    FILE,
    'none; it is required',
    'The file that holds the access key, and nothing else. It is followed.',
  ),
  secretKeyFile: optional(
    FILE,
    'none; it is required',
    'The file that holds the secret key, and nothing else. It is followed.',
  ),
  insecure: optional(BOOLEAN, '`false`', '`true` allows an endpoint without TLS that is not on loopback.'),
};

export const OBJECTS = section(OBJECTS_KEYS, {
  url: 'endpoint',
  host: 'endpoint',
  path: 'prefix',
  accessKey: 'the access key is in a file; write accessKeyFile',
  secretKey: 'the secret key is in a file; write secretKeyFile',
});

/** Completes the settings. Returns undefined if some are missing, which is reported as a fault. */
export function completeObjects(
  parts: PartReader,
  given: z.output<typeof OBJECTS>,
  at: (file: string) => string,
): ObjectsConfig | undefined {
  const { endpoint, bucket, accessKeyFile, secretKeyFile, insecure = false } = given;
  const { prefix = '', region = USUAL_REGION } = given;
  const path = ['cluster', 'objects'];
  if (
    endpoint === undefined ||
    bucket === undefined ||
    accessKeyFile === undefined ||
    secretKeyFile === undefined
  ) {
    const needed = { endpoint, bucket, accessKeyFile, secretKeyFile };
    const missing = Object.entries(needed).flatMap(([key, value]) => (value === undefined ? [key] : []));
    parts.fault(path, `an object store needs ${missing.join(', ')}`, 'key');
    return undefined;
  }
  if (endpoint.protocol === 'http:' && !insecure && !isLoopback(endpoint.hostname))
    parts.fault(
      [...path, 'endpoint'],
      `${endpoint.origin} would be asked without TLS; use https, or say "insecure: true"`,
    );
  return {
    endpoint: endpoint.origin,
    bucket,
    prefix: prefix.replace(/\/$/, ''),
    region,
    accessKeyFile: at(accessKeyFile),
    secretKeyFile: at(secretKeyFile),
  };
}

/** Returns the files of the keys, by the names of their settings. */
export function keyFilesOf(objects: ObjectsConfig | undefined): readonly (readonly [string, string])[] {
  if (objects === undefined) return [];
  const { accessKeyFile, secretKeyFile } = objects;
  return Object.entries({ accessKeyFile, secretKeyFile });
}
