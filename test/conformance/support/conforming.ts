/** What the conformance runs share: the repositories, who may push there, and what a good result is. */
import assert from 'node:assert/strict';
import path from 'node:path';
import type { TestContext } from 'node:test';
import type { RunningMirror } from '../../support/running-mirror.ts';
import type { SuiteResults, SuiteTarget } from './suite.ts';

export const HOSTED = 'hosted: { namespaces: { "conformance/**": {} } }\n';
export const POLICY = `version: 1
allow:
  - { id: push, push: conformance/**, to: ci }
  - { id: delete, delete: conformance/**, to: ci }
  - { id: public, pull: everything, to: authenticated, private: true }
...
`;
export const REPOSITORIES = { OCI_REPO1: 'conformance/one', OCI_REPO2: 'conformance/two' };
/**
 * A mount without a source is always an upload here: otherwise it would tell whoever knows a digest that some
 * repository has it.
 */
export const NOT_OFFERED = { OCI_API_BLOBS_MOUNT_ANONYMOUS: 'false' };

/** Makes a service account, whose token the suite uses as a password. */
export async function targetOf(running: RunningMirror): Promise<SuiteTarget> {
  await mustRunIn(running, 'user', 'add', 'ci', '--service');
  const { token } = JSON.parse(
    await mustRunIn(running, 'token', 'create', 'ci', '--expires', '1d', '--json'),
  );
  const ca = path.join(running.home, 'certs/ca.crt');
  return { registry: `localhost:${running.port}`, ca, username: 'ci', password: token };
}

async function mustRunIn(running: RunningMirror, ...args: string[]): Promise<string> {
  const { code, output } = await running.run(...args);
  assert.equal(code, 0, output);
  return output;
}

export function assertConforms(
  t: TestContext,
  { passed, failed, skipped, disabled, total, bad }: SuiteResults,
): void {
  t.diagnostic(`${passed} passed, ${failed} failed, ${skipped} skipped, ${disabled} disabled`);
  assert.deepEqual(bad, []);
  assert.deepEqual({ failed, skipped }, { failed: 0, skipped: 0 });
  assert.ok(passed > 0 && total > 0);
}
