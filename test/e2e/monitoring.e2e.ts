import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
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

test('the recipe of docs/backup.md tells the time of a good backup only, and its alert fires when that is old', async (t) => {
  const page = await readFile(path.join(DEPLOY, '../docs/backup.md'), 'utf8');
  const [, script = ''] = /^```sh\n([\s\S]*?)^```$/m.exec(page) ?? [];
  const [, rules = ''] = /^```yaml\n(groups:[\s\S]*?)^```$/m.exec(page) ?? [];
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-nightly-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const at = (name: string) => path.join(directory, name);
  const command = `exec '${process.execPath}' '${path.join(DEPLOY, '../src/bin/hubgate.ts')}' "$@"`;
  await mkdir(at('bin'));
  await writeFile(at('bin/hubgate'), `#!/bin/sh\n${command}\n`, { mode: 0o755 });
  const nightly = async (copying: 'works' | 'fails', backups: string) => {
    await writeFile(at('bin/rsync'), `#!/bin/sh\nexit ${copying === 'works' ? 0 : 23}\n`, { mode: 0o755 });
    await mkdir(at(backups));
    const here = script
      .replace('/var/lib/hubgate', hubgate.home)
      .replaceAll('/backup/', `${at(backups)}/`)
      .replace('/var/lib/prometheus/node-exporter', directory);
    return run('sh', ['-c', here], { env: { PATH: `${at('bin')}:${process.env.PATH}` } });
  };
  const failed = await nightly('fails', 'first');
  assert.equal(failed.code, 23, failed.output);
  await assert.rejects(readFile(at('hubgate.prom')), { code: 'ENOENT' });
  const before = Math.floor(Date.now() / 1000);
  const { code, output } = await nightly('works', 'second');
  assert.equal(code, 0, output);
  const metric = await readFile(at('hubgate.prom'), 'utf8');
  const [, time = ''] = /^hubgate_backup_timestamp_seconds (\d+)\n$/.exec(metric) ?? assert.fail(metric);
  assert.ok(Number(time) >= before);
  await promtool(['check', 'metrics'], `# HELP hubgate_backup_timestamp_seconds when\n${metric}`);
  await writeFile(at('rules.yaml'), rules);
  await promtool(['check', 'rules', at('rules.yaml')]);
  const series = (values: string) => [{ series: 'hubgate_backup_timestamp_seconds', values }];
  const fires = (eval_time: string, labels: object[]) => ({
    eval_time,
    alertname: 'HubgateBackupOld',
    exp_alerts: labels.map((exp_labels) => ({ exp_labels })),
  });
  // The annotations are compared too, so they are left out of the rule.
  await writeFile(at('rules.yaml'), rules.replace(/^ +annotations:\n(?: {10}.*\n)+/m, ''));
  const fired = [{ severity: 'warning' }];
  const tests = [
    {
      interval: '1h',
      input_series: series('0x72'),
      alert_rule_test: [fires('47h', []), fires('49h', fired)],
    },
    { interval: '1h', input_series: [], alert_rule_test: [fires('10m', []), fires('20m', fired)] },
  ];
  await writeFile(
    at('tests.yaml'),
    JSON.stringify({ rule_files: ['rules.yaml'], evaluation_interval: '1m', tests }),
  );
  await promtool(['test', 'rules', at('tests.yaml')]);
});
