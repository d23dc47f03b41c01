import { z } from 'zod';
import { inHome } from '../../../config/home.ts';
import { openUrlClient } from '../../../platform/ipc/http-client.ts';
import { Deadline } from '../../../platform/scheduling/deadline.ts';
import { type Finding, type Looked, wrong } from '../checks.ts';
import { peerOf } from './listeners.ts';
import type { ExaminedServer } from './server.ts';

/** The time-out in milliseconds. A scrape takes 2 s at the longest. */
const ANSWER = 5_000;

/**
 * Checks whether the audit log can be written and has lost lines. The gateways know it, and report it as
 * metrics.
 */
export async function auditLog(server: ExaminedServer): Promise<Looked> {
  const { paths, config, auth } = server;
  const where = `the audit log ${inHome(config.log.audit, paths)}`;
  const metrics = auth === undefined ? undefined : await scrape(server);
  if (metrics === undefined) return { skipped: 'no gateway was there to ask' };
  const findings: Finding[] = [];
  if (parseMetric('hubgate_audit_writable', metrics) === 0) {
    const then =
      config.log.auditOnFull === 'refuse' ? 'requests are refused meanwhile' : 'lines are lost before long';
    const mend =
      'make room on its disk, or mend its mode; /readyz and the log of the gateways say what is wrong';
    findings.push(wrong(where, `cannot be written: ${then}`, mend));
  }
  const lost = parseMetric('hubgate_audit_lines_lost_total', metrics) ?? 0;
  if (lost > 0) {
    const mend = 'give it a disk that has room and is fast enough, or set log.auditOnFull: refuse';
    findings.push(wrong(where, `has lost ${lost} lines since the mirror was started`, mend));
  }
  return { findings };
}

async function scrape({ config: { server } }: ExaminedServer): Promise<string | undefined> {
  using deadline = new Deadline(ANSWER);
  const { host, port } = peerOf(server.admin);
  const url = new URL(`http://${host.includes(':') ? `[${host}]` : host}:${port}`);
  await using client = openUrlClient(url);
  const asking = async () => {
    const { body } = await client.request({ method: 'GET', path: '/metrics', deadline: ANSWER });
    return await body.text();
  };
  return await deadline.bound(asking()).catch(() => undefined);
}

function parseMetric(metric: string, text: string): number | undefined {
  const written = text.split('\n').find((line) => line.startsWith(`${metric} `));
  return z.coerce.number().safeParse(written?.slice(metric.length + 1)).data;
}
