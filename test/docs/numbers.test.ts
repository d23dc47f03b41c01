/** The bounds that the pages name are those of the program. A bound that changes makes its sentence red. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { ACTIVITY } from '../../src/account/limits.ts';
import {
  BCRYPT_COST,
  CONFIRMATION,
  DELAY_LIMITS,
  DEVICE_GRANT,
  EXPIRY_WARNINGS,
  FEDERATED_LOGIN,
  HASHES,
  ISSUER_KEYS,
  KEY_OVERLAP,
  PASSWORD_LENGTH,
  SCIM,
  SESSIONS,
} from '../../src/auth/limits.ts';
import { CLUSTER_LIMITS } from '../../src/cluster/limits.ts';
import { OBJECT_LIMITS } from '../../src/cluster/objects/limits.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import { UPLOADS } from '../../src/core/cluster/limits.ts';
import { MOST_TAG_CHANGES } from '../../src/core/hosted/hosted-statements.ts';
import { COLLECTION, UPLOAD_LIMITS } from '../../src/core/hosted/limits.ts';
import {
  BLOB_PART,
  BUDGET,
  CONNECTIONS,
  DISK_FLOOR,
  DISK_RESERVE,
  EVICTION,
  FILL_PLACES,
  HELPER_DEADLINE,
  MAX_DOCUMENT_SIZE,
  MAX_REFERRERS_PAGES,
  REFUSED_FOR,
  STANDARD_LIMITS,
} from '../../src/core/limits.ts';
import { shareOpenFiles } from '../../src/gateway/http/open-files.ts';
import {
  ACCESS_TOKENS,
  AUDIT_QUEUE,
  AUDITED_REFUSALS,
  EARLY_REFUSAL,
  GATEWAY_LIMITS,
  MAX_PROXY_HEADER,
  METRICS_DEADLINES,
  OPEN_FILES,
} from '../../src/gateway/limits.ts';
import { TOKEN_GRACE } from '../../src/protocol/auth-api.ts';
import { HANGING, RESTARTS } from '../../src/supervisor/limits.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const MIB = 2 ** 20;
const { times } = GATEWAY_LIMITS;

const seconds = (milliseconds: number) => `${milliseconds / 1000} s`;
const minutes = (milliseconds: number) => milliseconds / 60_000;
const hours = (milliseconds: number) => minutes(milliseconds) / 60;
const days = (milliseconds: number) => hours(milliseconds) / 24;
/** The pages write small numbers as words. */
const WORDS = ['no', 'a', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten'];
const word = (number: number) => WORDS[number] ?? String(number);
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
  'docs/identities.md': [
    `at least ${PASSWORD_LENGTH.least} and at most ${PASSWORD_LENGTH.most} characters`,
    `with a cost up to ${BCRYPT_COST.most}`,
    `${word(HASHES.concurrent)[0]?.toUpperCase()}${word(HASHES.concurrent).slice(1)} hashes are made at a time`,
    `After ${word(DELAY_LIMITS.free)} wrong passwords for one name from one network`,
    `${DELAY_LIMITS.first / 1000} s, ${(DELAY_LIMITS.first * 2) / 1000} s, ${seconds(DELAY_LIMITS.first * 4)} and so on, up to ${seconds(DELAY_LIMITS.longest)}`,
    `and so does ${DELAY_LIMITS.forgottenAfter === 15 * 60_000 ? 'a quarter of an hour' : '…'}`,
    `${word(DELAY_LIMITS.maxWaitingEach).replace('f', 'F')} attempts may wait for one pair and ${DELAY_LIMITS.maxWaiting} in all`,
    `During its last ${word(days(EXPIRY_WARNINGS.before) / 7)} weeks the log warns once ${word(days(EXPIRY_WARNINGS.remindAfter))} day`,
    `The old one stays valid for ${word(Math.floor(minutes(KEY_OVERLAP)))} minutes`,
  ],
  'docs/ci.md': [
    `waits ${seconds(ISSUER_KEYS.pauseWithoutKeys)} before it asks again`,
    `never twice within ${seconds(ISSUER_KEYS.pause)}`,
    `A JWT has at most ${FEDERATED_LOGIN.maxLength / 1024} KiB`,
    `issued (\`iat\`, at most ${word(FEDERATED_LOGIN.maxAge / 86_400)} day ago)`,
    `ahead of this clock by ${word(FEDERATED_LOGIN.clockTolerance / 60)} minute`,
    `longer than ${FEDERATED_LOGIN.maxClaim} characters`,
    `count for ${word(days(ISSUER_KEYS.usedFor))} day`,
  ],
  'docs/hosted.md': [
    `A subject has at most ${UPLOAD_LIMITS.openPerSubject} uploads open at a time, and all subjects together ${UPLOAD_LIMITS.open}`,
    `waits for up to ${UPLOAD_LIMITS.waitForPlace / 1000} seconds for its turn`,
    `after ${hours(UPLOAD_LIMITS.idle) === 1 ? 'an hour' : '…'} without a request, and after ${word(days(UPLOAD_LIMITS.life))} day in any case`,
    `A blob has at most ${UPLOAD_LIMITS.maxBlob / 2 ** 30} GiB, a manifest ${MAX_DOCUMENT_SIZE / MIB} MiB, a repository ${UPLOAD_LIMITS.maxTags.toLocaleString('en')} tags, and an image ${UPLOAD_LIMITS.maxReferrers.toLocaleString('en')} referrers`,
    `less than ${UPLOAD_LIMITS.diskReserve * 100} % of the disk is free`,
    `the newest ${MOST_TAG_CHANGES.toLocaleString('en')} changes of a tag, and forgets a change after ${days(COLLECTION.keepHistory)} days`,
    `kept for at least ${word(days(COLLECTION.undo))} days after the change`,
    `is removed ${word(days(COLLECTION.lease))} day after its push`,
    `the gateway reads at most ${EARLY_REFUSAL.mostBytes / 1024 - 4096} KiB more`,
    `It counts ${word(TOKEN_GRACE / 60_000)} minute longer`,
    `must not stop for ${word(minutes(times.bodyIdle))} minute, and ${(times.bodyFloor?.bytes ?? 0) / 1024} KiB must come in each minute`,
  ],
  'docs/clients/push.md': [`A token lives for ${word(ACCESS_TOKENS.maxAge / 60)} minutes`],
  'docs/operations.md': [
    `it is started again after ${seconds(RESTARTS.firstPause)}`,
    `asked every ${word(HANGING.pingEvery / 1000)} seconds whether it answers. One that has answered none of ${word(HANGING.unanswered)} questions`,
    `give downloads ${seconds(times.drain)}`,
    ...[
      `${shareOpenFiles(31_000).connections.toLocaleString('en')} with 31,000 files or more`,
      `${shareOpenFiles(4_096).connections.toLocaleString('en')} with 4,096`,
      `${shareOpenFiles(1_024).connections} with 1,024`,
    ],
  ],
  'docs/quota.md': [
    `While more than ${BUDGET.shortBelow === 0.5 ? 'half' : '…'} of the quota is left`,
    `A crash loses at most the last ${BUDGET.writeAfter === 1000 ? 'second' : '…'}`,
  ],
  'docs/monitoring.md': [`A scrape takes ${seconds(METRICS_DEADLINES.role)} at most`],
  'docs/logins.md': [
    `Write a secret of at least ${SCIM.shortestToken} characters`,
    `At most ${word(CONFIRMATION.concurrent)} people are asked about at a time`,
    `is asked again after ${word(minutes(CONFIRMATION.againAfter))} minute`,
  ],
  'docs/account.md': [
    `A session ends after ${word(hours(SESSIONS.lifetime))} hours, after ${minutes(SESSIONS.idle) === 30 ? 'half an hour' : '…'} without use`,
    `reads the last ${ACTIVITY.tail / MIB} MiB of the current audit log of this mirror and shows up to ${ACTIVITY.lines} of your requests`,
  ],
  'docs/laptops.md': [
    `ends after ${days(DEVICE_GRANT.tokenLifetime)} days at the latest`,
    `at most ${DEVICE_GRANT.waitingEach} machines of one network, ${DEVICE_GRANT.waitingOfSite} of one /48 of IPv6, and ${DEVICE_GRANT.waiting} in all`,
  ],
  'docs/load-balancers.md': [
    `A header may have ${MAX_PROXY_HEADER / 1024} KiB and take ${seconds(times.proxyHeader)}`,
  ],
  'docs/upstreams.md': [`It has ${seconds(HELPER_DEADLINE)}`],
  'docs/cluster.md': [
    `Blobs up to ${OBJECT_LIMITS.single / MIB} MiB are sent in one request, larger ones in parts of ${OBJECT_LIMITS.part / MIB} MiB. A node sends ${word(UPLOADS.atOnce)} blobs`,
    `needs at most ${(UPLOADS.atOnce * OBJECT_LIMITS.partsAtOnce * OBJECT_LIMITS.part) / MIB} MiB of memory`,
    `until its lease ends, ${seconds(CLUSTER_LIMITS.lease)}`,
  ],
  'docs/troubleshooting.md': [
    `tried again after ${STANDARD_LIMITS.probeAfter / 1000} to ${seconds(STANDARD_LIMITS.probeAtMost)}`,
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

test('the defaults that the pages name are those of an empty home', async (t) => {
  const home = await mkdtemp(path.join(tmpdir(), 'hubgate-defaults-'));
  t.after(() => rm(home, { recursive: true }));
  const loaded = await loadConfig({ directory: home, environment: {}, readsSecrets: false });
  assert.ok('value' in loaded);
  const { server, longestToken, passwords, cache, log } = loaded.value;
  const { admin } = server;
  const named = {
    'docs/glossary.md': `by default \`${admin.host}:${admin.port}\``,
    'docs/monitoring.md': `\`${admin.host}:${admin.port}\` (\`server.admin\`)`,
    'docs/clients/docker.md': `\`${new URL(server.url).origin}\`, the default \`server.url\``,
    'docs/identities.md': `by default ${days(longestToken)}d`,
    'docs/sizing.md': `\`passwords.memory\`, ${passwords.memory / MIB} MiB by default`,
    'docs/cache.md': `\`cache.maxSize\` is \`${cache.maxSize}\` by default`,
    'docs/audit.md': `\`${log.auditOnFull}\` (default)`,
  };
  for (const [page, text] of Object.entries(named))
    assert.ok(readFileSync(path.join(ROOT, page), 'utf8').includes(text), `${page}: ${text}`);
});
