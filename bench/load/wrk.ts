import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { mustRun } from '../../test/e2e/support/process.ts';
import { reapedCpuSeconds } from '../process-tree.ts';

export interface WrkJob {
  readonly port: number;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly connections: number;
  readonly seconds: number;
  /** Makes it a POST. */
  readonly body?: string;
  /** For what it needs on disk. */
  readonly directory: string;
}

export interface WrkResult {
  readonly requests: number;
  readonly seconds: number;
  /** Seconds. */
  readonly p50: number;
  readonly p99: number;
  /** Connections that broke, time-outs, and answers other than 2xx and 3xx. */
  readonly errors: number;
  readonly cpuSeconds: number;
}

const REPORT = path.join(import.meta.dirname, 'wrk-report.lua');
/** wrk cannot be told a suite; OpenSSL, of which it is made, can. */
const OPENSSL = `openssl_conf = init
[init]
ssl_conf = ssl
[ssl]
system_default = default
[default]
MinProtocol = TLSv1.3
Ciphersuites = TLS_AES_128_GCM_SHA256
`;

/** Requests for one path over connections that are kept. */
export async function runWrk(job: WrkJob): Promise<WrkResult> {
  const { port, headers, connections, seconds, body, directory } = job;
  const at = (name: string) => path.join(directory, name);
  await writeFile(at('openssl.cnf'), OPENSSL);
  let script = REPORT;
  if (body !== undefined) {
    script = at('post.lua');
    const said = JSON.stringify(body);
    await writeFile(script, `wrk.method = "POST"\nwrk.body = ${said}\ndofile(${JSON.stringify(REPORT)})\n`);
  }
  const fields = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
  const shape = ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '30s', '-s', script];
  const before = reapedCpuSeconds();
  const output = await mustRun('wrk', [...shape, ...fields, `https://127.0.0.1:${port}${job.path}`], {
    env: { OPENSSL_CONF: at('openssl.cnf') },
  });
  const said = JSON.parse(/^\{.*\}$/m.exec(output)?.[0] ?? 'null');
  return {
    requests: said.requests,
    seconds: said.microseconds / 1e6,
    p50: said.p50 / 1e6,
    p99: said.p99 / 1e6,
    errors: said.connect + said.read + said.write + said.status + said.timeout,
    cpuSeconds: reapedCpuSeconds() - before,
  };
}
