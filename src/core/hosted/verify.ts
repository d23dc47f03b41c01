import type { VerifiedHosted } from '../../protocol/hosted-api.ts';
import { type Digest, matchesDigest, startHash } from '../../registry/digest.ts';
import type { HostedContent } from './hosted-content.ts';
import type { HostedDatabase } from './hosted-database.ts';

type HostedDamage = VerifiedHosted['damages'][number];

const BATCH = 100;
/** The most damages that are listed. */
const MOST_DAMAGES = 1_000;

/**
 * Reads everything that is hosted, and compares it with its digests. Every tag must have its manifest, and
 * every manifest its blobs and manifests. Nothing is changed.
 * @throws HostedUnavailable
 */
export async function verifyHosted(
  database: HostedDatabase,
  content: HostedContent,
): Promise<VerifiedHosted> {
  const damages: HostedDamage[] = [...(await tornReferences(database))];
  const manifests = await verifyManifests(database, damages);
  let blobs = 0;
  for (let last = ''; ; ) {
    const batch = await database.read((select) => select.blobsAfter.all(last, BATCH));
    for (const { digest, size } of batch) {
      blobs++;
      const problem = await content.whyDamaged(digest, size);
      // A blob can be removed while it is being read.
      const paths = problem === undefined ? [] : await pathsWith(database, digest);
      for (const repository of paths) damages.push({ repository, reference: digest, problem: problem ?? '' });
    }
    const end = batch.at(-1);
    if (end === undefined) break;
    last = end.digest;
  }
  return { blobs, manifests, damages: damages.slice(0, MOST_DAMAGES) };
}

async function pathsWith(database: HostedDatabase, digest: Digest): Promise<readonly string[]> {
  const found = await database.read((select) => select.pathsWithBlob.all(digest));
  return found.map(({ path }) => path);
}

function tornReferences(database: HostedDatabase): Promise<readonly HostedDamage[]> {
  return database.read(function* (select) {
    const tags = yield* select.tornTags.all();
    const manifests = yield* select.tornManifests.all();
    return [
      ...tags.map(({ path, name, digest }) => ({
        ...{ repository: path, reference: name, problem: `its manifest ${digest} is missing` },
      })),
      ...manifests.map(({ path, parent, child }) => ({
        ...{ repository: path, reference: parent, problem: `${child}, which it names, is missing` },
      })),
    ];
  });
}

async function verifyManifests(database: HostedDatabase, damages: HostedDamage[]): Promise<number> {
  let count = 0;
  for (let last = 0; ; ) {
    const batch = await database.read((select) => select.manifestsAfter.all(last, BATCH));
    for (const { path, digest, bytes } of batch) {
      count++;
      if (!matchesDigest(startHash(digest).update(bytes), digest))
        damages.push({
          ...{ repository: path, reference: digest, problem: 'its bytes are not those of its digest' },
        });
    }
    const end = batch.at(-1);
    if (end === undefined) return count;
    last = end.id;
  }
}
