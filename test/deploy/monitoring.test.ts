import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { before, test } from 'node:test';
import { parse } from 'yaml';
import { imageOf } from '../support/image.ts';
import { type Scrape, scrape } from '../support/scrape.ts';
import { withMirror } from '../support/with-mirror.ts';

const ROOT = path.join(import.meta.dirname, '../..');

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: { readonly summary: string; readonly description: string };
}

interface Panel {
  readonly id: number;
  readonly title: string;
  readonly type: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
}

let scraped: Scrape;
/** The labels of each metric, as the table in docs/monitoring.md has them. */
let documented: ReadonlyMap<string, readonly string[]>;
let rules: readonly Rule[];
let panels: readonly Panel[];
let variables: readonly string[];

async function read(file: string): Promise<string> {
  return readFile(path.join(ROOT, file), 'utf8');
}

before(async (t) => {
  const image = imageOf();
  const { hubgate } = await withMirror(t, {
    images: { 'library/alpine': image },
    policy: [
      'allow: [{ pull: library/**, to: authenticated }]',
      'limits: [{ id: each, to: authenticated, each: true, pulls: 40/6h }]',
      'reserve: [{ id: prod, upstream: docker.io, keep: 20%, for: bo }]',
    ].join('\n'),
    configuration: { hosted: { namespaces: { 'acme/**': { quota: '1KiB' } } } },
  });
  await hubgate.giveToken('ana');
  for (const target of ['manifests/latest', `blobs/${image.layers[0]}`])
    await hubgate.ask(`/v2/library/alpine/${target}`, { user: 'ana' });
  scraped = await scrape(hubgate.adminPort);
  documented = new Map(
    [...(await read('docs/monitoring.md')).matchAll(/^\| `(hubgate_\w+)` +\| ([^|]*)\|/gm)].map(
      ([, name, labels]) => [
        name ?? '',
        [...(labels ?? '').matchAll(/`(\w+)`/g)].map(([, label]) => label ?? '').sort(),
      ],
    ),
  );
  rules = parse(await read('deploy/prometheus/alerts.yaml')).groups.flatMap(
    ({ rules }: { rules: Rule[] }) => rules,
  );
  const dashboard = JSON.parse(await read('deploy/grafana/hubgate.json'));
  panels = dashboard.panels;
  variables = dashboard.templating.list.map(({ query }: { query: string | { query: string } }) =>
    typeof query === 'string' ? query : query.query,
  );
});

test('the table of metrics in docs/monitoring.md has those of a scrape and no others, with their labels', () => {
  // A cluster has more: test/cluster/nodes.cluster.ts. So have directories: test/e2e/directory-ldap.e2e.ts.
  const more = /^hubgate_(?:cluster_|directory_|people$|suspended_tokens$)/;
  const alone = new Map([...documented].filter(([name]) => !more.test(name)));
  assert.deepEqual([...alone.keys()].sort(), [...scraped.types.keys()].sort());
  for (const [name, labels] of alone) {
    const seen = scraped.labelsOf(name);
    if (seen.length > 0) assert.deepEqual(seen, labels, name);
  }
  const silent = [...alone.keys()].filter((name) => scraped.labelsOf(name).length === 0);
  const unproven = silent.filter((name) => documented.get(name)?.length !== 0);
  // Nothing was cut, and the quota lasts.
  assert.deepEqual(unproven, [
    'hubgate_responses_cut_total',
    'hubgate_upstream_quota_empty_timestamp_seconds',
  ]);
});

/** What Prometheus adds to every series of a target. */
const OF_THE_TARGET = ['job', 'instance'];

/**
 * The metrics of an expression, each with the labels that are asked of it, and the labels by which it is
 * grouped.
 */
function assertKnown(expr: string, where: string): void {
  const words = expr.replaceAll(/"[^"]*"/g, '""');
  const asked: string[] = [];
  for (const [, written = '', selector = ''] of words.matchAll(/\b(hubgate_\w+)(\{[^}]*\})?/g)) {
    const name = documented.has(written) ? written : written.replace(/_(?:bucket|sum|count)$/, '');
    const labels = documented.get(name) ?? assert.fail(`${where}: there is no metric ${written}`);
    if (name !== written) assert.equal(scraped.types.get(name), 'histogram', `${where}: ${written}`);
    asked.push(...labels, ...(name === written ? [] : ['le']));
    for (const [, label = ''] of selector.matchAll(/(\w+)\s*[=!]/g))
      assert.ok([...labels, ...OF_THE_TARGET].includes(label), `${where}: ${name} has no label ${label}`);
  }
  for (const [, list = ''] of words.matchAll(/\b(?:by|on)\s*\(([^)]*)\)/g)) {
    for (const label of list.split(',').map((one) => one.trim()))
      assert.ok([...asked, ...OF_THE_TARGET].includes(label), `${where}: nothing has the label ${label}`);
  }
}

test('alerts ask for metrics and labels that there are, and say what to do', async () => {
  assert.ok(rules.length > 10);
  for (const { alert, expr, annotations } of rules) {
    assertKnown(expr, alert);
    assert.ok(annotations.summary.length > 10 && annotations.description.length > 10, alert);
  }
  // promtool runs these: test/e2e/monitoring.e2e.ts.
  const tests: { name: string; alert_rule_test: { alertname: string; exp_alerts: unknown[] }[] }[] = parse(
    await read('deploy/prometheus/alerts.test.yaml'),
  ).tests;
  for (const { alert } of rules) {
    const of = tests.flatMap((one) => one.alert_rule_test).filter(({ alertname }) => alertname === alert);
    assert.ok(
      of.some(({ exp_alerts }) => exp_alerts.length > 0),
      `${alert} is not shown to fire`,
    );
    assert.ok(
      of.some(({ exp_alerts }) => exp_alerts.length === 0),
      `${alert} is not shown to be silent`,
    );
  }
});

test('the dashboard asks for metrics and labels that there are, and its panels do not cover one another', () => {
  const queries = panels.flatMap(({ title, targets = [] }) =>
    targets.map((target) => ({ title, ...target })),
  );
  assert.ok(queries.length > 30);
  for (const { title, expr, legendFormat } of queries) {
    assertKnown(expr, title);
    const legend = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label]) => label);
    const kept = /\bby\s*\(([^)]*)\)/.exec(expr)?.[1];
    for (const label of legend)
      assert.ok(kept === undefined || kept.includes(label ?? ''), `${title}: ${label}`);
  }
  for (const query of variables.filter((one) => one.includes('hubgate_'))) assertKnown(query, query);
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  for (const [index, { title, gridPos: one }] of panels.entries()) {
    assert.ok(one.x + one.w <= 24, title);
    for (const { gridPos: other } of panels.slice(index + 1)) {
      const apart =
        one.x + one.w <= other.x ||
        other.x + other.w <= one.x ||
        one.y + one.h <= other.y ||
        other.y + other.h <= one.y;
      assert.ok(apart, title);
    }
  }
});

test('every metric is on the dashboard or in an alert, so that none is measured for nobody', () => {
  const asked = [...rules, ...panels.flatMap(({ targets = [] }) => targets)]
    .map(({ expr }) => expr)
    .join('\n');
  const unasked = [...documented.keys()].filter((name) => !asked.includes(name));
  assert.deepEqual(unasked, UNASKED);
});

/** For whoever looks closer. */
const UNASKED: readonly string[] = [
  'hubgate_audit_waiting_bytes',
  'hubgate_policy_refusals',
  'hubgate_expiring_tokens',
  'hubgate_cache_blobs',
  'hubgate_cache_repositories',
  'hubgate_evicted_bytes_total',
];
