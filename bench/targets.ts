/** The targets of Hubgate as comparisons of figures. Each target is one row of a table. */

/** Names a figure and its row. */
export interface FigureName {
  readonly case: string;
  readonly metric: string;
}

export interface Target extends FigureName {
  /** The target in words, as far as the figures do not express it. */
  readonly about?: string;
  readonly at: 'least' | 'most';
  readonly factor: number;
  /**
   * The factor applies to a peer's figure, or to another figure of Hubgate's own; undefined: it is the figure
   * itself.
   */
  readonly of?: { readonly server: string } | FigureName;
}

const REGISTRIES = ['docker-registry', 'registry3'];

const against = (servers: readonly string[], target: Omit<Target, 'of'>): Target[] =>
  servers.map((server) => ({ ...target, of: { server } }));

const SPEED = { metric: 'MB/s', at: 'least' } as const;
const GROWTH = { metric: 'CPU s/1000', about: 'growth: the same cost', at: 'most', factor: 1.2 } as const;

export const TARGETS: readonly Target[] = [
  ...[8, 64].flatMap((clients) => [
    ...against(REGISTRIES, { ...SPEED, case: `blob 256 MiB × ${clients}`, factor: 1.25 }),
    ...against(['nginx-64k'], { ...SPEED, case: `blob 256 MiB × ${clients}`, factor: 1.1 }),
  ]),
  ...against(REGISTRIES, { ...SPEED, case: 'blob 5 MiB × 8', factor: 1.5 }),
  ...against(REGISTRIES, { ...SPEED, case: 'blob 100 KiB × 8', factor: 8 }),
  ...['blob 256 MiB × 8', 'blob 256 MiB × 64', 'blob 5 MiB × 8'].flatMap((one) => [
    ...against(['docker-registry'], { case: one, metric: 'CPU s/GB', at: 'most', factor: 0.8 }),
    ...against(['nginx-64k'], { case: one, metric: 'CPU s/GB', at: 'most', factor: 0.9 }),
  ]),
  ...['digest', 'tag'].flatMap((kind) => [
    ...against(['docker-registry'], {
      ...{ case: `manifest by ${kind} × 32`, metric: 'requests/s', at: 'least', factor: 10 },
    }),
    ...against(['registry3'], {
      ...{ case: `manifest by ${kind} × 32`, metric: 'requests/s', at: 'least', factor: 4 },
    }),
    ...against(['registry3'], {
      ...{ case: `manifest by ${kind} × 32`, metric: 'p99 ms', at: 'most', factor: 0.3 },
    }),
    ...against(['registry3'], {
      ...{ case: `manifest by ${kind}, new connections × 32`, metric: 'requests/s', at: 'least', factor: 1 },
    }),
  ]),
  ...['service token', 'password, remembered'].flatMap((login): Target[] => [
    { case: `token by ${login}`, metric: 'tokens per core of auth', at: 'least', factor: 5000 },
    { case: `token by ${login}`, metric: 'tokens per core of the tree', at: 'least', factor: 5000 },
  ]),
  ...['', ', upstream at 200 MB/s'].map((rate): Target => {
    const of = { case: `cold 256 MiB from the upstream itself${rate}`, metric: 'seconds' };
    return { case: `cold 256 MiB × 1${rate}`, metric: 'seconds', at: 'most', factor: 1.1, of };
  }),
  ...against(['registry3'], { case: 'cold 256 MiB × 16', metric: 'seconds', at: 'most', factor: 0.65 }),
  ...against(['registry3'], {
    ...{ case: 'cold 256 MiB × 16, upstream at 200 MB/s', metric: 'seconds', at: 'most', factor: 0.2 },
  }),
  { case: 'cold 16 MiB × 200', metric: 'upstream ×', at: 'most', factor: 1 },
  {
    ...{ case: 'cold 16 MiB × 200', metric: 'seconds', at: 'most', factor: 1.5 },
    of: { case: 'the same bytes, cached, to one client', metric: 'seconds' },
  },
  { case: '300 slow readers of one blob', metric: 'MiB above idle', at: 'most', factor: 150 },
  { case: '300 slow readers of 300 blobs', metric: 'MiB above idle', at: 'most', factor: 250 },
  { case: '500 clients at once', metric: 'errors', at: 'most', factor: 0 },
  { case: '500 clients at once', metric: 'peak MiB', at: 'most', factor: 500 },
  { case: '1000 clients at once', metric: 'errors', at: 'most', factor: 0 },
  { case: '1,000,000 links', metric: 'start s', at: 'most', factor: 2 },
  { case: '1,000,000 links', metric: 'lookup µs', at: 'most', factor: 50 },
  { case: '1,000,000 links', metric: 'core MiB', at: 'most', factor: 200 },
  { case: 'policy of 10,000 rules, 10,000 users', metric: 'decision µs', at: 'most', factor: 5 },
  { case: 'cached manifest, 100 limits to none', metric: 'CPU ratio', at: 'most', factor: 1.02 },
  { case: 'cached manifest, a directory to none', metric: 'CPU ratio', at: 'most', factor: 1.02 },
  ...['ID tokens with groups', 'groups from userinfo'].flatMap((what): Target[] => [
    { case: `10,000 people, ${what}`, metric: 'seconds', at: 'most', factor: 30 },
    { case: `10,000 people, ${what}`, metric: 'auth CPU %', at: 'most', factor: 5 },
  ]),
  { case: 'decision, 3 limits apply', metric: 'p99 µs', at: 'most', factor: 20 },
  { case: 'budget --by subject, 1,000,000 audit lines', metric: 'seconds', at: 'most', factor: 2 },
  ...against(['docker-registry'], {
    ...{ case: 'push 512 MiB × 2', metric: 'CPU s/GiB', at: 'most', factor: 1 },
  }),
  { case: 'push 512 MiB × 2', metric: 'CPU s/GiB', at: 'most', factor: 4.2 },
  { case: 'push 4 MiB, one by one', metric: 'syncs per blob', at: 'most', factor: 3 },
  { case: '100 slow pushes of 4 MiB', metric: 'MiB above idle', at: 'most', factor: 100 },
  {
    ...{ case: 'cached pulls during pushes', metric: 'p99 ms', at: 'most', factor: 1.5 },
    of: { case: 'cached pulls during pushes', metric: 'quiet p99 ms' },
  },
  ...against(['docker-registry', 'registry3'], {
    ...{ case: 'cached pulls during pushes', metric: 'p99 ms', at: 'most', factor: 1 },
  }),
  ...['p50 ms', 'p99 ms'].map((metric): Target => {
    return { case: 'tags/list, 100 of 50,000 tags', metric, at: 'most', factor: 10 };
  }),
  { case: 'idle', metric: 'tree MiB', at: 'most', factor: 250 },
  ...['manifest', 'blob'].flatMap((what): Target[] => [
    { case: `cached ${what}, node to embedded`, metric: 'CPU ratio', at: 'most', factor: 1.05 },
    { case: `cached ${what} on a node`, metric: 'statements per hit', at: 'most', factor: 0.01 },
    { case: `cached ${what} on a node`, metric: 'S3 requests per hit', at: 'most', factor: 0 },
  ]),
  {
    ...{ case: 'fill 64 MiB from S3', metric: 'seconds', at: 'most', factor: 2 },
    of: { case: 'fill 64 MiB from a local upstream', metric: 'seconds' },
  },
  {
    ...{ case: 'fill 64 MiB from S3', metric: 'seconds', at: 'most', factor: 2 },
    of: { case: '64 MiB from the disk', metric: 'seconds' },
  },
  { case: 'lease', metric: 'p50 ms', at: 'most', factor: 5 },
  { case: 'cluster code in an embedded start', metric: 'MiB', at: 'most', factor: 1 },
  ...['manifest', 'blob'].flatMap((what): Target[] => [
    {
      ...GROWTH,
      case: `${what}, 1,000,000 links and 100 rules`,
      of: { case: `${what}, 100 links and 100 rules`, metric: GROWTH.metric },
    },
    {
      ...GROWTH,
      case: `${what}, 100 links and 10,000 rules`,
      of: { case: `${what}, 100 links and 10 rules`, metric: GROWTH.metric },
    },
  ]),
  ...[
    'blob 256 MiB × 64',
    'manifest by digest × 32',
    'token by service token',
    'cold 256 MiB × 16',
    'cold 16 MiB × 200',
    '500 clients at once',
    'blobs 256 MiB × 8, from disk',
  ].map((one): Target => ({ case: one, metric: 'loop p99 ms', at: 'most', factor: 20 })),
  { case: '1,000,000 links', metric: 'eviction loop p99 ms', at: 'most', factor: 20 },
  ...[
    '60,000 pipelined requests',
    'wrong logins',
    '5,000 cold tags of one user',
    'clients that never read',
    'all of these at once',
  ].flatMap((one): Target[] => [
    { case: one, metric: 'p99 ms', at: 'most', factor: 2, of: { case: one, metric: 'quiet p99 ms' } },
    { case: one, metric: 'healthz max ms', at: 'most', factor: 100 },
    { case: one, metric: 'gateway MiB more', at: 'most', factor: 60 },
    { case: one, metric: 'failures', at: 'most', factor: 0 },
  ]),
];
