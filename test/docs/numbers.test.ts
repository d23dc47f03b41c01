/** The bounds that the pages name are those of the program. A bound that changes makes its sentence red. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import {
  BLOB_PART,
  CONNECTIONS,
  DISK_FLOOR,
  DISK_RESERVE,
  EVICTION,
  FILL_PLACES,
  MAX_DOCUMENT_SIZE,
  MAX_REFERRERS_PAGES,
  REFUSED_FOR,
  STANDARD_LIMITS,
} from '../../src/core/limits.ts';
import { AUDIT_QUEUE, AUDITED_REFUSALS, GATEWAY_LIMITS, OPEN_FILES } from '../../src/gateway/limits.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const MIB = 2 ** 20;
const { times } = GATEWAY_LIMITS;

const seconds = (milliseconds: number) => `${milliseconds / 1000} s`;
const percent = (part: number) => `${part * 100} %`;

const { resumeAfter, resumptions } = STANDARD_LIMITS;
const pauses = Array.from({ length: resumptions }, (_, turn) => (resumeAfter * 2 ** turn) / 1000);

const SENTENCES: Readonly<Record<string, readonly string[]>> = {
  'docs/cache.md': [
    `after ${pauses.slice(0, -1).join(', ')} and ${pauses.at(-1)} s`,
    `range of at most ${BLOB_PART.most / MIB} MiB, more than ${BLOB_PART.beyond / MIB} MiB ahead`,
    `At most ${FILL_PLACES.places} downloads run from one upstream at a time, and at most ${FILL_PLACES.placesPerSubject} of them for one subject`,
    `A request waits for at most ${seconds(STANDARD_LIMITS.question)}`,
    `A subject has at most ${CONNECTIONS.each} requests`,
    `A subject has ${FILL_PLACES.placesPerSubject} downloads under way and ${FILL_PLACES.queuedPerSubject} that wait`,
    `has downloaded ${STANDARD_LIMITS.subjectDownloads / 2 ** 40} TiB into the cache within 24 hours`,
    `Idle connections are kept for at most ${seconds(STANDARD_LIMITS.idle)}`,
    `five repositories in ${seconds(STANDARD_LIMITS.breakWithin)}`,
    `first after ${seconds(STANDARD_LIMITS.probeAfter)} and then less and less often, down to every ${seconds(STANDARD_LIMITS.probeAtMost)}`,
    `The core remembers 404 for ${seconds(REFUSED_FOR.notFound)}, 401 for ${seconds(REFUSED_FOR.unauthorized)}`,
    `most ${MAX_REFERRERS_PAGES} pages and ${MAX_DOCUMENT_SIZE / MIB} MiB, within ${seconds(STANDARD_LIMITS.question)}`,
    `a tenth of the disk, at most ${DISK_RESERVE.most / 2 ** 30} GiB`,
    `Above ${percent(EVICTION.highWater)} of that size the least recently used content is evicted until ${percent(EVICTION.lowWater)} are left`,
    `At least ${percent(DISK_FLOOR.part)} of the disk, at most ${DISK_FLOOR.most / MIB} MiB, is always left free`,
  ],
  'docs/storage.md': [
    `At least ${percent(DISK_FLOOR.part)} of the disk, at most ${DISK_FLOOR.most / MIB} MiB, is always left free`,
  ],
  'docs/security.md': [
    `${seconds(times.handshake)} for a handshake, ${seconds(times.requestHeaders)} for headers, ${seconds(times.inactivity)} without progress, ${OPEN_FILES.connections.toLocaleString('en')} connections a worker`,
    `A question to an upstream takes at most ${seconds(STANDARD_LIMITS.question)}, with the token and redirects, and ${seconds(STANDARD_LIMITS.revalidation)}`,
    `a user has at most ${FILL_PLACES.placesPerSubject} of the ${FILL_PLACES.places} downloads`,
  ],
  'docs/audit.md': [
    `up to ${AUDIT_QUEUE.mostBytes / MIB} MiB in each gateway`,
    `when ${AUDIT_QUEUE.full / MIB} MiB wait`,
    `writes at most ${AUDITED_REFUSALS.ofAddress.burst} such lines at once and ${AUDITED_REFUSALS.ofAddress.rate} a second for one address`,
  ],
};

for (const [page, sentences] of Object.entries(SENTENCES)) {
  test(`${page} names the bounds that the program has`, () => {
    const text = readFileSync(path.join(ROOT, page), 'utf8').replaceAll(/\s+/g, ' ');
    assert.deepEqual(
      sentences.filter((sentence) => !text.includes(sentence)),
      [],
    );
  });
}
