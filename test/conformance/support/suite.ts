import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { binariesOf } from '../../clients/support/programs.ts';
import { run } from '../../e2e/support/process.ts';

/** The numbers of tests of one run by their results. */
export interface SuiteResults {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly disabled: number;
  readonly total: number;
  /** The lines of the tests that have failed or were skipped. */
  readonly bad: readonly string[];
}

export interface SuiteTarget {
  /** The host and port of the registry. */
  readonly registry: string;
  /** The file of the CA that issued its certificate. */
  readonly ca: string;
  readonly username: string;
  readonly password: string;
}

/**
 * Runs the suite with the given variables. Its exit code says nothing: it is 0 after an error in the
 * configuration, and 2 after a run that only reads, whatever the result. So the report decides, and a run
 * without a report is an error.
 */
export async function runSuite(
  { registry, ca, username, password }: SuiteTarget,
  variables: Readonly<Record<string, string>>,
): Promise<SuiteResults> {
  const results = await mkdtemp(path.join(tmpdir(), 'hubgate-conformance-'));
  try {
    const program = path.join(binariesOf('conformance'), 'conformance');
    const { output } = await run(program, [], {
      env: {
        ...{ OCI_REGISTRY: registry, OCI_TLS: 'enabled', SSL_CERT_FILE: ca, OCI_RESULTS_DIR: results },
        ...{ OCI_USERNAME: username, OCI_PASSWORD: password },
        ...variables,
      },
    });
    return readResults(output);
  } finally {
    await rm(results, { recursive: true });
  }
}

function readResults(output: string): SuiteResults {
  const report = output.slice(output.indexOf('OCI Conformance Result:'));
  const number = (name: string): number => {
    const line = report.split('\n').find((one) => one.trimStart().startsWith(`${name}.`));
    const text = line?.split(':').at(-1)?.trim() ?? '';
    if (!/^\d+$/.test(text))
      throw new Error(`the conformance suite gives no report:\n${output.slice(-4_000)}`);
    return Number(text);
  };
  return {
    passed: number('Pass'),
    failed: number('FAIL') + number('Error'),
    skipped: number('Skip'),
    disabled: number('Disabled'),
    total: number('Total'),
    bad: output.split('\n').filter((line) => /^ *OCI Conformance Test\/.*: (?:FAIL|Error|Skip)$/.test(line)),
  };
}
