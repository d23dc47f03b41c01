/**
 * What the caller of the core's socket sees of each fault at each place, and what it costs the upstream. A
 * cell such as `404 BLOB_UNKNOWN · 1` states the status, the name of the refusal or else the state of the
 * cache, and how many requests reached the upstream; of a limit also the Retry-After, and of a blob whether
 * it ends as `right` bytes or as `failed`.
 */
import { describe, test } from 'node:test';
import { type Cell, checkCell, type Expectation, type FaultName } from '../support/fault-matrix.ts';

interface Table {
  readonly of: string;
  /** What a row states after the name of its fault, cell by cell. */
  readonly columns: readonly (Omit<Cell, 'fault'> & { readonly name: string })[];
  readonly rows: readonly (readonly [fault: FaultName, ...cells: Expectation[]])[];
}

/**
 * Cold: the head without and with a token, a token for the account, the manifest. The first "no" to a head in
 * a namespace is checked by one GET.
 */
const TAG: Table = {
  of: 'a manifest by tag',
  columns: [
    { name: 'not cached', target: 'tag', state: 'not cached' },
    { name: 'past its freshness', target: 'tag', state: 'cached' },
  ],
  rows: [
    ['hang', '504 UPSTREAM_TIMEOUT · 1', '200 stale · 1'],
    ['reset before the headers', '502 UPSTREAM_FAILED · 2', '200 stale · 2'],
    ['connection refused', '502 UPSTREAM_FAILED · 0', '200 stale · 0'],
    ['DNS failure', '502 UPSTREAM_FAILED · 0', '200 stale · 0'],
    ['TLS failure', '502 UPSTREAM_FAILED · 0', '200 stale · 0'],
    ['reset after 1 %', '502 UPSTREAM_FAILED · 6', '200 revalidated · 1'],
    ['reset after 99 %', '502 UPSTREAM_FAILED · 6', '200 revalidated · 1'],
    ['truncated', '502 UPSTREAM_FAILED · 6', '200 revalidated · 1'],
    ['truncated, length unknown', '502 UPSTREAM_FAILED · ≤ 6', '200 stale · ≤ 2'],
    ['stall', '504 UPSTREAM_TIMEOUT · 5', '200 revalidated · 1'],
    ['length too large', '504 UPSTREAM_TIMEOUT · 5', '200 revalidated · 1'],
    ['length too small', '502 UPSTREAM_FAILED · 5', '200 revalidated · 1'],
    ['wrong first byte', '502 UPSTREAM_FAILED · 5', '200 revalidated · 1'],
    ['wrong digit', '502 UPSTREAM_FAILED · 5', '200 revalidated · 1'],
    ['slow drip', '504 UPSTREAM_TIMEOUT · 5', '200 revalidated · 1'],
    ['429 with Retry-After', '429 TOO_MANY_PULLS, 120 s · 1', '200 stale · 1'],
    ['429 without Retry-After', '429 TOO_MANY_PULLS, 60 s · 1', '200 stale · 1'],
    ['429 for abuse', '429 TOO_MANY_PULLS, 60 s · 1', '200 stale · 1'],
    ['401', '404 MANIFEST_UNKNOWN · 3', '404 MANIFEST_UNKNOWN · 3'],
    ['401 for the token', '502 UPSTREAM_FAILED · 3', '200 stale · ≤ 3'],
    ['403', '404 MANIFEST_UNKNOWN · 2', '404 MANIFEST_UNKNOWN · 1'],
    ['404', '404 MANIFEST_UNKNOWN · 2', '404 MANIFEST_UNKNOWN · 2'],
    ['500', '502 UPSTREAM_FAILED · 1', '200 stale · 1'],
    ['503', '502 UPSTREAM_FAILED · 1', '200 stale · 1'],
  ],
};

/** The head, which names another digest, and the GET of that. */
const MOVED: Table = {
  of: 'a manifest by tag',
  columns: [{ name: 'moved', target: 'tag', state: 'moved' }],
  rows: [
    ['hang', '200 stale · 2'],
    ['reset before the headers', '200 stale · 3'],
    ['reset after 1 %', '200 stale · 3'],
    ['reset after 99 %', '200 stale · 3'],
    ['truncated', '200 stale · 3'],
    ['truncated, length unknown', '200 stale · 2'],
    ['stall', '200 stale · 2'],
    ['length too large', '200 stale · 2'],
    ['length too small', '200 stale · 2'],
    ['wrong first byte', '200 stale · 2'],
    ['wrong digit', '200 stale · 2'],
    ['slow drip', '200 stale · 2'],
    ['429 with Retry-After', '200 stale · 2'],
    ['429 without Retry-After', '200 stale · 2'],
    ['429 for abuse', '200 stale · 2'],
    ['401', '404 MANIFEST_UNKNOWN · 4'],
    ['401 for the token', '200 stale · ≤ 4'],
    ['403', '404 MANIFEST_UNKNOWN · 2'],
    ['404', '404 MANIFEST_UNKNOWN · 2'],
    ['500', '200 stale · 2'],
    ['503', '200 stale · 2'],
  ],
};

/** Cold: as by tag. Aged: a token, because the old one is spent, and the head. */
const DIGEST: Table = {
  of: 'a manifest by digest',
  columns: [
    { name: 'not cached', target: 'digest', state: 'not cached' },
    { name: 'aged', target: 'digest', state: 'aged' },
  ],
  rows: [
    ['hang', '504 UPSTREAM_TIMEOUT · 1', '200 stale · 2'],
    ['reset before the headers', '502 UPSTREAM_FAILED · 2', '200 stale · 3'],
    ['connection refused', '502 UPSTREAM_FAILED · 0', '200 stale · 0'],
    ['DNS failure', '502 UPSTREAM_FAILED · 0', '200 stale · 0'],
    ['TLS failure', '502 UPSTREAM_FAILED · 0', '200 stale · 0'],
    ['reset after 1 %', '502 UPSTREAM_FAILED · 6', '200 hit · 2'],
    ['reset after 99 %', '502 UPSTREAM_FAILED · 6', '200 hit · 2'],
    ['truncated', '502 UPSTREAM_FAILED · 6', '200 hit · 2'],
    ['truncated, length unknown', '502 UPSTREAM_FAILED · ≤ 6', '200 stale · ≤ 3'],
    ['stall', '504 UPSTREAM_TIMEOUT · 5', '200 hit · 2'],
    ['length too large', '504 UPSTREAM_TIMEOUT · 5', '200 hit · 2'],
    ['length too small', '502 UPSTREAM_FAILED · 5', '200 hit · 2'],
    ['wrong first byte', '502 UPSTREAM_FAILED · 5', '200 hit · 2'],
    ['wrong digit', '502 UPSTREAM_FAILED · 5', '200 hit · 2'],
    ['slow drip', '504 UPSTREAM_TIMEOUT · 5', '200 hit · 2'],
    ['429 with Retry-After', '429 TOO_MANY_PULLS, 120 s · 1', '200 stale · 2'],
    ['429 without Retry-After', '429 TOO_MANY_PULLS, 60 s · 1', '200 stale · 2'],
    ['429 for abuse', '429 TOO_MANY_PULLS, 60 s · 1', '200 stale · 2'],
    ['401', '404 MANIFEST_UNKNOWN · 3', '404 MANIFEST_UNKNOWN · 2'],
    ['401 for the token', '502 UPSTREAM_FAILED · 3', '200 stale · ≤ 4'],
    ['403', '404 MANIFEST_UNKNOWN · 2', '404 MANIFEST_UNKNOWN · 2'],
    // The repository is asked for as well.
    ['404', '404 MANIFEST_UNKNOWN · 2', '404 MANIFEST_UNKNOWN · 3'],
    ['500', '502 UPSTREAM_FAILED · 1', '200 stale · 2'],
    ['503', '502 UPSTREAM_FAILED · 1', '200 stale · 2'],
  ],
};

/** The redirect to a blob, which has no body. Cold: after its manifest, and so with a token in hand. */
const BLOB: Table = {
  of: 'a blob',
  columns: [
    { name: 'not cached', target: 'blob', state: 'not cached' },
    { name: 'aged', target: 'blob', state: 'aged' },
  ],
  rows: [
    ['hang', '504 UPSTREAM_TIMEOUT · 1', '200 stale, right · 2'],
    ['reset before the headers', '502 UPSTREAM_FAILED · 2', '200 stale, right · 3'],
    ['connection refused', '502 UPSTREAM_FAILED · 0', '200 stale, right · 0'],
    ['DNS failure', '502 UPSTREAM_FAILED · 0', '200 stale, right · 0'],
    ['TLS failure', '502 UPSTREAM_FAILED · 0', '200 stale, right · 0'],
    ['429 with Retry-After', '429 TOO_MANY_PULLS, 120 s · 1', '200 stale, right · 2'],
    ['429 without Retry-After', '429 TOO_MANY_PULLS, 60 s · 1', '200 stale, right · 2'],
    ['429 for abuse', '429 TOO_MANY_PULLS, 60 s · 1', '200 stale, right · 2'],
    ['401', '404 BLOB_UNKNOWN · 3', '404 BLOB_UNKNOWN · 2'],
    ['401 for the token', '502 UPSTREAM_FAILED · 3', '200 stale, right · ≤ 4'],
    ['403', '404 BLOB_UNKNOWN · 1', '404 BLOB_UNKNOWN · 3'],
    ['404', '404 BLOB_UNKNOWN · 1', '404 BLOB_UNKNOWN · 4'],
    ['500', '502 UPSTREAM_FAILED · 1', '200 stale, right · 2'],
    ['503', '502 UPSTREAM_FAILED · 1', '200 stale, right · 2'],
  ],
};

/**
 * What the storage refuses says nothing of the repository: it may have lost the object, or the signature is
 * stale.
 */
const STORAGE: Table = {
  of: 'the storage of a blob',
  columns: [{ name: 'not cached', target: 'storage', state: 'not cached' }],
  rows: [
    ['hang', '504 UPSTREAM_TIMEOUT · 2'],
    ['reset before the headers', '502 UPSTREAM_FAILED · 3'],
    ['connection refused', '502 UPSTREAM_FAILED · 1'],
    ['DNS failure', '502 UPSTREAM_FAILED · 1'],
    ['TLS failure', '502 UPSTREAM_FAILED · 1'],
    ['429 with Retry-After', '429 TOO_MANY_PULLS, 120 s · 2'],
    ['429 without Retry-After', '429 TOO_MANY_PULLS, 60 s · 2'],
    ['429 for abuse', '429 TOO_MANY_PULLS, 60 s · 2'],
    ['401', '502 UPSTREAM_FAILED · 2'],
    ['403', '502 UPSTREAM_FAILED · 2'],
    ['404', '502 UPSTREAM_FAILED · 2'],
    ['500', '502 UPSTREAM_FAILED · 2'],
    ['503', '502 UPSTREAM_FAILED · 2'],
  ],
};

/**
 * A redirect and the bytes, and both again for each resumption. A fault that leaves half of the bytes is
 * overcome.
 */
const STORAGE_BODY: Table = {
  of: 'the bytes of a blob',
  columns: [
    { name: 'once', target: 'storage', state: 'not cached', times: 1 },
    { name: 'always', target: 'storage', state: 'not cached' },
  ],
  rows: [
    ['reset after 1 %', '200 fill, right · 4', '200 fill, failed · ≤ 12'],
    ['reset after 50 %', '200 fill, right · 4', '200 fill, right · 4'],
    ['reset after 99 %', '200 fill, right · 4', '200 fill, right · 4'],
    ['truncated', '200 fill, right · 4', '200 fill, failed · ≤ 12'],
    ['stall', '200 fill, right · 4', '200 fill, failed · ≤ 12'],
    ['truncated, length unknown', '200 fill, failed · 2', '200 fill, failed · 2'],
    ['length too large', '200 fill, failed · ≤ 12', '200 fill, failed · ≤ 12'],
    ['length too small', '200 fill, failed · 2', '200 fill, failed · 2'],
    ['wrong first byte', '200 fill, failed · 2', '200 fill, failed · 2'],
    ['wrong last byte', '200 fill, failed · 2', '200 fill, failed · 2'],
    ['slow drip', '200 fill, right · 2', '200 fill, right · 2'],
  ],
};

/**
 * For a manifest by tag. A token service that does not answer is forgotten, and the registry asked which one
 * there is now. A realm under a name that is not loopback is refused before anybody looks it up.
 */
const TOKEN: Table = {
  of: 'the token service',
  columns: [
    { name: 'not cached', target: 'token', state: 'not cached' },
    { name: 'past its freshness', target: 'token', state: 'cached' },
  ],
  rows: [
    ['hang', '504 UPSTREAM_TIMEOUT · 2', '200 stale · ≤ 2'],
    ['reset before the headers', '502 UPSTREAM_FAILED · 3', '200 stale · 3'],
    ['connection refused', '502 UPSTREAM_FAILED · 1', '200 stale · 1'],
    ['TLS failure', '502 UPSTREAM_FAILED · 1', '200 stale · 1'],
    ['reset after 1 %', '502 UPSTREAM_FAILED · 3', '200 stale · 3'],
    ['reset after 99 %', '502 UPSTREAM_FAILED · 3', '200 stale · 3'],
    ['truncated', '502 UPSTREAM_FAILED · 3', '200 stale · 3'],
    ['truncated, length unknown', '502 UPSTREAM_FAILED · 2', '200 stale · 2'],
    ['stall', '504 UPSTREAM_TIMEOUT · 2', '200 stale · ≤ 2'],
    ['length too large', '504 UPSTREAM_TIMEOUT · 2', '200 stale · ≤ 2'],
    ['length too small', '502 UPSTREAM_FAILED · 2', '200 stale · 2'],
    ['wrong first byte', '502 UPSTREAM_FAILED · 2', '200 stale · 2'],
    ['wrong last byte', '502 UPSTREAM_FAILED · 2', '200 stale · 2'],
    ['slow drip', '504 UPSTREAM_TIMEOUT · 2', '200 stale · ≤ 2'],
    ['429 with Retry-After', '429 TOO_MANY_PULLS, 120 s · 2', '200 stale · 1'],
    ['429 without Retry-After', '429 TOO_MANY_PULLS, 60 s · 2', '200 stale · 1'],
    ['429 for abuse', '429 TOO_MANY_PULLS, 60 s · 2', '200 stale · 1'],
    ['401', '404 MANIFEST_UNKNOWN · 2', '404 MANIFEST_UNKNOWN · 1'],
    ['403', '404 MANIFEST_UNKNOWN · 2', '404 MANIFEST_UNKNOWN · 1'],
    ['404', '502 UPSTREAM_FAILED · 2', '200 stale · 2'],
    ['500', '502 UPSTREAM_FAILED · 2', '200 stale · 2'],
    ['503', '502 UPSTREAM_FAILED · 2', '200 stale · 2'],
  ],
};

/**
 * A fault that strikes once is overcome by asking once more. Cold, a manifest costs five requests, and a blob
 * two.
 */
const ONCE: readonly Table[] = (
  [
    ['tag', '200 fill · 6'],
    ['digest', '200 fill · 6'],
    ['blob', '200 fill, right · 3'],
    ['storage', '200 fill, right · 3'],
    ['token', '200 fill · 6'],
  ] as const
).map(([target, is]) => ({
  of: `one request for a ${target}`,
  columns: [{ name: 'not cached', target, state: 'not cached', times: 1 }],
  rows: [
    ['reset before the headers', is],
    ...(target === 'token'
      ? ([
          ['reset after 1 %', is],
          ['truncated', is],
        ] as const)
      : []),
  ],
}));

/** A credential that is refused is trouble, and no word on the repository. */
const TOKEN_AS_ACCOUNT: Table = {
  of: 'the token service, to the account',
  columns: [
    { name: 'not cached', target: 'token', state: 'not cached', grant: 'private' },
    { name: 'past its freshness', target: 'token', state: 'cached', grant: 'private' },
  ],
  rows: [
    ['401', '502 UPSTREAM_FAILED · 2', '200 stale · 1'],
    ['403', '404 MANIFEST_UNKNOWN · 2', '404 MANIFEST_UNKNOWN · 1'],
  ],
};

/** Cached by digest: nobody is asked, whatever the fault. */
const CACHED = [
  { ...DIGEST, columns: [{ name: 'cached', target: 'digest', state: 'cached' }], is: '200 hit · 0' },
  { ...BLOB, columns: [{ name: 'cached', target: 'blob', state: 'cached' }], is: '200 hit, right · 0' },
  { ...STORAGE, columns: [{ name: 'cached', target: 'storage', state: 'cached' }], is: '200 hit, right · 0' },
  {
    ...STORAGE_BODY,
    columns: [{ name: 'cached', target: 'storage', state: 'cached' }],
    is: '200 hit, right · 0',
  },
] as const;

const TABLES: readonly Table[] = [
  STORAGE_BODY,
  STORAGE,
  BLOB,
  DIGEST,
  TAG,
  MOVED,
  TOKEN,
  TOKEN_AS_ACCOUNT,
  ...ONCE,
  ...CACHED.map(({ is, rows, ...table }) => ({
    ...table,
    rows: rows.map(([fault]) => [fault, is] as const),
  })),
];

describe('invariants 8, 12 and 16: the fault matrix', { concurrency: 12 }, () => {
  for (const { of, columns, rows } of TABLES) {
    for (const [fault, ...cells] of rows) {
      for (const [index, { name, ...column }] of columns.entries()) {
        const is = cells[index];
        if (is === undefined) throw new Error(`${of}: ${fault} has no ${name}`);
        test(`${of}, ${name}: ${fault}: ${is}`, () => checkCell({ ...column, fault }, is));
      }
    }
  }
});
