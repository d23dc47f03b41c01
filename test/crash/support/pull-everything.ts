import type { Digest } from '../../../src/registry/digest.ts';
import { Puller, type PullerOptions } from './load.ts';

/** A fill may fail because of what the Hub gave wrongly or what a crash left, but not for ever. */
const ATTEMPTS = 3;

/** Pulls everything, or the content in `only`, and returns what cannot be pulled. */
export async function pullEverything(
  options: Omit<PullerOptions, 'patient'>,
  only?: ReadonlySet<Digest>,
): Promise<Digest[]> {
  const puller = new Puller({ ...options, patient: true });
  const missing: Digest[] = [];
  for (const listing of options.catalogue.listings) {
    const { manifests, blobs } = listing.image;
    const pulls = new Map<Digest, () => Promise<boolean>>();
    for (const [number, { digest }] of manifests.entries())
      pulls.set(digest, () => puller.manifest(listing, digest, number === 0 ? 'tag' : 'digest'));
    for (const digest of blobs.keys()) pulls.set(digest, () => puller.blob(listing, digest));
    for (const [digest, pull] of pulls) {
      if ((only === undefined || only.has(digest)) && !(await succeeds(pull))) missing.push(digest);
    }
  }
  return missing;
}

async function succeeds(pull: () => Promise<boolean>): Promise<boolean> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) if (await pull()) return true;
  return false;
}
