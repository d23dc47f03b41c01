import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { mustRun } from '../../test/e2e/support/process.ts';
import { reapedCpuSeconds } from '../process-tree.ts';

export interface WrkJob {
  readonly port: number;
  /** The paths, which are requested in turn. */
  readonly paths: readonly [string, ...string[]];
  readonly headers: Readonly<Record<string, string>>;
  readonly connections: number;
  readonly seconds: number;
  /** If it is given, the request is a POST. */
  readonly body?: string;
  /** The directory for its files. */
  readonly directory: string;
}

export interface WrkResult {
  readonly requests: number;
  readonly seconds: number;
  /** In seconds. */
  readonly p50: number;
  readonly p99: number;
  /** The number of broken connections, time-outs, and answers other than 2xx and 3xx. */
  readonly errors: number;
  readonly cpuSeconds: number;
}

const REPORT = path.join(import.meta.dirname, 'wrk-report.lua');
/** wrk has no option for the cipher suite, but OpenSSL, which it uses, has a configuration file. */
const OPENSSL = `openssl_conf = init
[init]
ssl_conf = ssl
[ssl]
system_default = default
[default]
MinProtocol = TLSv1.3
Ciphersuites = TLS_AES_128_GCM_SHA256
`;

/** Sends requests over connections that stay open. */
export async function runWrk(job: WrkJob): Promise<WrkResult> {
  const { port, paths, headers, connections, seconds, directory } = job;
  const at = (name: string) => path.join(directory, name);
  // Two servers may be loaded at the same time.
  const configuration = at(`openssl-${port}.cnf`);
  await writeFile(configuration, OPENSSL);
  const script = at(`wrk-${port}.lua`);
  await writeFile(script, scriptOf(job));
  const fields = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
  const shape = ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '30s', '-s', script];
  const before = reapedCpuSeconds();
  const output = await mustRun('wrk', [...shape, ...fields, `https://127.0.0.1:${port}${paths[0]}`], {
    env: { OPENSSL_CONF: configuration },
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

/**
 * Writes the script in Lua, which wrk runs. The requests are made only once, because the cost of making them
 * is not the server's.
 */
function scriptOf({ paths, body }: WrkJob): string {
  const quote = (text: string) => JSON.stringify(text);
  const lines = [`dofile(${quote(REPORT)})`];
  if (body !== undefined) lines.push('wrk.method = "POST"', `wrk.body = ${quote(body)}`);
  if (paths.length > 1) lines.push(`ask_by_turns({ ${paths.map(quote).join(', ')} })`);
  return `${lines.join('\n')}\n`;
}
