import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, test } from 'node:test';
import { freePort } from '../support/free-port.ts';
import { ask } from '../support/http.ts';
import { imageOf } from '../support/image.ts';
import { scrape } from '../support/scrape.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';
import { run, startProcess } from './support/process.ts';
import { PrometheusPackage } from './support/prometheus.ts';

const DEPLOY = path.join(import.meta.dirname, '../../deploy');
const RULES = path.join(DEPLOY, 'prometheus/alerts.yaml');

const debian = await PrometheusPackage.fetch();
after(() => debian[Symbol.asyncDispose]());
const image = imageOf();
const { hubgate } = await withMirror(
  { after },
  {
    policy: 'allow: [{ pull: library/**, to: authenticated }]',
    images: { 'library/alpine': image },
  },
);
for (const target of ['manifests/latest', `blobs/${image.layers[0]}`])
  assert.equal((await hubgate.ask(`/v2/library/alpine/${target}`, { user: 'ana' })).status, 200);

async function promtool(args: readonly string[], stdin = ''): Promise<void> {
  const { code, output } = await run(debian.program('promtool'), args, { stdin });
  assert.equal(code, 0, output);
}

test('promtool takes the alerts, and each fires when it should and not before', async () => {
  await promtool(['check', 'rules', RULES]);
  await promtool(['test', 'rules', path.join(DEPLOY, 'prometheus/alerts.test.yaml')]);
});

test('promtool finds nothing to say against a scrape', async () => {
  const { text } = await scrape(hubgate.adminPort);
  await promtool(['check', 'metrics'], text);
});

test('Prometheus scrapes the mirror, evaluates every alert, and answers every question of the dashboard', async (t) => {
  const port = await freePort();
  const config = path.join(hubgate.home, 'prometheus.json');
  const target = `127.0.0.1:${hubgate.adminPort}`;
  // JSON is YAML too.
  await writeFile(
    config,
    JSON.stringify({
      global: { scrape_interval: '1s', evaluation_interval: '1s' },
      scrape_configs: [{ job_name: 'hubgate', static_configs: [{ targets: [target] }] }],
      rule_files: [RULES],
    }),
  );
  const get = async (api: string): Promise<{ data: never }> => {
    const { status, body } = await ask({ host: '127.0.0.1', port, path: `/api/v1/${api}`, agent: false });
    assert.equal(status, 200, `${api}: ${body}`);
    return JSON.parse(body.toString());
  };
  const prometheus = await startProcess(
    debian.program('prometheus'),
    [
      `--config.file=${config}`,
      `--storage.tsdb.path=${path.join(hubgate.home, 'tsdb')}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    { ready: (output) => output.includes('Server is ready to receive web requests') },
  );
  t.after(() => prometheus.stop());
  const query = async (expr: string): Promise<{ value: [number, string] }[]> => {
    const { data } = await get(`query?query=${encodeURIComponent(expr)}`);
    return (data as { result: { value: [number, string] }[] }).result;
  };
  await waitFor(async () => (await query('hubgate_core_up{job="hubgate"}'))[0]?.value[1] === '1');
  const { panels } = JSON.parse(await readFile(path.join(DEPLOY, 'grafana/hubgate.json'), 'utf8'));
  const questions = panels.flatMap(({ targets = [] }: { targets?: { expr: string }[] }) => targets);
  assert.ok(questions.length > 30);
  for (const { expr } of questions)
    await query(
      expr.replaceAll('$__rate_interval', '1m').replaceAll('$job', '.*').replaceAll('$instance', '.*'),
    );
  const allRules = async (): Promise<{ name: string; health: string; state: string }[]> => {
    const { data } = await get('rules');
    return (data as { groups: { rules: [] }[] }).groups.flatMap(({ rules }) => rules);
  };
  await waitFor(async () => (await allRules()).every(({ health }) => health !== 'unknown'));
  for (const { name, health, state } of await allRules())
    assert.deepEqual([name, health, state], [name, 'ok', 'inactive']);
});
