import { createHash, randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import type { ObjectStore } from '../../../cluster/objects/object-store.ts';
import type { StoredObjects } from '../../../cluster/objects/stored-objects.ts';

/**
 * Tells whether the store belongs to this cluster. A store that belongs to nobody becomes this one's.
 * @throws DatabaseUnavailable
 */
export async function checkOwner(
  store: ObjectStore,
  objects: StoredObjects,
  key: string,
  signal: AbortSignal,
): Promise<'own' | 'another' | 'unknown'> {
  const name = await objects.owner(randomUUID());
  const found = await readOwner(store, key, signal);
  if (found === 'away') return 'unknown';
  if (found !== undefined) return found === name ? 'own' : 'another';
  const sha256 = createHash('sha256').update(name).digest('hex');
  const open = async () => Readable.from([Buffer.from(name)], { objectMode: false });
  const put = await store.put(key, { size: Buffer.byteLength(name), sha256, open }, signal);
  return put.kind === 'ok' ? 'own' : 'unknown';
}

async function readOwner(
  store: ObjectStore,
  key: string,
  signal: AbortSignal,
): Promise<string | 'away' | undefined> {
  const answer = await store.get(key, 0, signal);
  if (answer.kind !== 'ok') return 'away';
  return answer.value && (await text(answer.value.body).catch(() => 'away'));
}
