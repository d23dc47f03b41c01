/**
 * `npm run simulate:cluster` simulates clusters of 10 to 100 nodes with the constants that
 * `npm run bench -- --case cluster` has measured, and prints its assumptions. It shows how often the upstream
 * sends a digest, and what the database has to do.
 */
import path from 'node:path';
import { parseArgs } from 'node:util';
import { medians, readResults } from './results.ts';

/** What nobody has measured. Each can be set: `-- --pulls 50`. Times are in seconds. */
const ASSUMED = {
  /** Images that the clients of one node pull in a second. */
  pulls: 10,
  /** The blobs of an image, and the size of one in MiB. */
  blobs: 8,
  size: 30,
  /** Images that clients pull, of which the n-th is asked for 1/n times as often as the first. */
  images: 2_000,
  /**
   * The images that are replaced by new ones in a day, and the days after which a node evicts what it has.
   */
  pushed: 2_000,
  days: 7,
  /** Between the upstream and one node, in MiB/s. */
  upstream: 50,
  /** A node ends without warning once in so many days. */
  crash: 7,
  hours: 1,
};
const NODES = [10, 30, 100];
const DAY = 86_400;
/** The seconds after which a node that is frozen has lost its lease, see src/cluster/limits.ts. */
const LEASE = 4;

type Assumed = typeof ASSUMED;

interface Measured {
  /** Milliseconds of the median lease. */
  readonly lease: number;
  /**
   * Statements that a node sends for a blob: that which downloads it, and each that gets it from elsewhere.
   */
  readonly first: number;
  readonly other: number;
  /** Statements a second that a node sends of its own accord. */
  readonly idle: number;
  /** Statements a second that one database has taken. */
  readonly writes: number;
  readonly reads: number;
}

/** Random numbers that are the same in each run. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

async function readMeasured(): Promise<Measured> {
  const directory = path.join(import.meta.dirname, 'results');
  // A quick measurement is better than none.
  const results = [...(await readResults(directory)), ...(await readResults(path.join(directory, 'quick')))];
  const rows = results.find(({ group }) => group === 'cluster')?.rows ?? [];
  const figure = (what: string, metric: string): number => {
    const row = rows.find((one) => one.case === what);
    const value = row && medians(row).get(metric);
    if (value === undefined)
      throw new Error(`run npm run bench -- --case cluster first: no ${metric} of ${what}`);
    return value;
  };
  return {
    lease: figure('lease', 'p50 ms'),
    first: figure('statements for one blob', 'first node'),
    other: figure('statements for one blob', 'from S3'),
    idle: figure('cached manifest on a node', 'idle statements/s'),
    writes: figure('the database', 'writes/s'),
    reads: figure('the database', 'reads/s'),
  };
}

interface Outcome {
  readonly nodes: number;
  readonly digests: number;
  readonly gets: number;
  /** The GETs of as many Hubgates that know nothing of one another. */
  readonly alone: number;
  readonly statements: number;
  readonly busiest: number;
}

/**
 * Which nodes have which images. At the beginning they have what clients would have pulled in the days
 * before.
 */
class Images {
  readonly #has: Set<number>[];
  /** The sum of the weights up to each image. */
  readonly #sums: number[] = [];

  constructor(nodes: number, assumed: Assumed, random: () => number) {
    const weight = (image: number) => 1 / (image + 1);
    for (let image = 0; image < assumed.images; image++)
      this.#sums.push((this.#sums.at(-1) ?? 0) + weight(image));
    const perNode = (assumed.pulls * assumed.days * DAY) / (this.#sums.at(-1) ?? 1);
    this.#has = this.#sums.map((_, image) => {
      const chance = 1 - Math.exp(-perNode * weight(image));
      return new Set(Array.from({ length: nodes }, (__, node) => node).filter(() => random() < chance));
    });
  }

  /** Returns an image for a number between 0 and 1, a popular one more often. */
  pick(at: number): number {
    const wanted = at * (this.#sums.at(-1) ?? 1);
    let [low, high] = [0, this.#sums.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#sums[middle] ?? 0) < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  replace(image: number): void {
    this.#has[image]?.clear();
  }

  /** Gives an image to a node. Returns whether it had it, or whether it is the first that gets it. */
  give(image: number, node: number): 'had' | 'first' | 'other' {
    const nodes = this.#has[image] ?? new Set();
    if (nodes.has(node)) return 'had';
    nodes.add(node);
    return nodes.size === 1 ? 'first' : 'other';
  }
}

/**
 * Plays the pulls of some hours. The first node that needs an image downloads it, and the others follow it.
 */
function simulate(nodes: number, assumed: Assumed, measured: Measured): Outcome {
  const random = randomOf(nodes);
  const images = new Images(nodes, assumed, random);
  const seconds = assumed.hours * 3600;
  const statements = new Float64Array(seconds + 1);
  const took = (assumed.blobs * assumed.size) / assumed.upstream + measured.lease / 1000;
  const rate = nodes * assumed.pulls;
  const pushes = assumed.pushed / DAY;
  let [digests, gets, alone] = [0, 0, 0];
  for (let now = 0; now < seconds; now += Math.log(1 / (1 - random())) / (rate + pushes)) {
    const image = images.pick(random());
    if (random() < pushes / (rate + pushes)) {
      images.replace(image);
      continue;
    }
    const given = images.give(image, Math.floor(random() * nodes));
    if (given === 'had') continue;
    alone += assumed.blobs;
    const second = Math.floor(now);
    const each = given === 'first' ? measured.first : measured.other;
    statements[second] = (statements[second] ?? 0) + assumed.blobs * each;
    if (given === 'other') continue;
    digests += assumed.blobs;
    // Whoever follows a node that crashes goes on where its own copy ends, which is one GET more.
    gets += assumed.blobs + (random() < (took + LEASE) / (assumed.crash * DAY) ? 1 : 0);
  }
  const idle = nodes * measured.idle;
  const sum = statements.reduce((all, one) => all + one, 0) / seconds + idle;
  return { nodes, digests, gets, alone, statements: sum, busiest: Math.max(...statements) + idle };
}

/** Returns how many nodes would send so many statements a second as one database takes. */
function saturation({ nodes, statements }: Outcome, { writes }: Measured): number {
  return Math.floor((nodes * writes) / statements);
}

const { values } = parseArgs({
  options: Object.fromEntries(Object.keys(ASSUMED).map((name) => [name, { type: 'string' as const }])),
});
const assumed: Assumed = { ...ASSUMED };
for (const name of Object.keys(ASSUMED) as (keyof Assumed)[])
  if (typeof values[name] === 'string') assumed[name] = Number(values[name]);
const measured = await readMeasured();
const say = (line: string) => process.stdout.write(`${line}\n`);
const round = (value: number) => Number(value.toPrecision(3)).toLocaleString('en');

say('Measured on one machine by npm run bench -- --case cluster:');
say(
  `  a lease takes ${round(measured.lease)} ms; a node sends ${round(measured.idle)} statements/s when nobody pulls`,
);
say(
  `  a blob costs ${round(measured.first)} statements on the node that downloads it, ${round(measured.other)} on each other one`,
);
say(`  one database takes ${round(measured.writes)} writes/s or ${round(measured.reads)} reads/s`);
say('Assumed:');
say(
  `  ${assumed.pulls} pulls/s on each node; ${assumed.images} images, the n-th 1/n times as popular as the first;`,
);
say(`  ${assumed.blobs} blobs of ${assumed.size} MiB in an image; ${assumed.pushed} images replaced a day;`);
say(
  `  nodes keep what they have for ${assumed.days} days, and crash once in ${assumed.crash}; ${assumed.upstream} MiB/s from the upstream;`,
);
say(
  '  a hit sends nothing to the database; a tag is asked of the upstream by one node, which is not counted here;',
);
say('  the node with the lease of a digest downloads it, and only a crash meanwhile costs one GET more;');
say('  every statement costs as much as a write, so the database is full earlier here than it would be.');
say('');
const HEAD = [
  ...['nodes', 'pulls/s', 'new digests', 'GETs per digest', 'without a cluster'],
  ...['statements/s', 'busiest second', 'of one database', 'full at nodes'],
];
say(HEAD.join('  '));
for (const nodes of NODES) {
  const outcome = simulate(nodes, assumed, measured);
  const { digests, gets, alone, statements, busiest } = outcome;
  const cells = [
    ...[String(nodes), round(nodes * assumed.pulls), round(digests)],
    ...[(gets / digests).toFixed(4), (alone / digests).toFixed(1), round(statements), round(busiest)],
    ...[`${((100 * statements) / measured.writes).toFixed(1)} %`, round(saturation(outcome, measured))],
  ];
  say(cells.map((text, index) => text.padEnd(HEAD[index]?.length ?? 0)).join('  '));
}
