import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import type { Role } from '../../src/config/home.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import { watchAuthorities } from '../../src/launch/watch-authorities.ts';
import { makeAuthority } from '../support/certificates.ts';
import { type LoggedLine, testLog } from '../support/test-log.ts';
import { waitFor } from '../support/wait-for.ts';

let home: string;

beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'hubgate-authorities-'));
  await mkdir(path.join(home, 'config'));
});

afterEach(() => rm(home, { recursive: true }));

test('the log says that a changed file of authorities needs a restart, in the roles that have read it', async () => {
  const at = (name: string) => path.join(home, name);
  for (const name of ['upstream.crt', 'egress.crt']) await writeFile(at(name), makeAuthority(name).cert);
  const text = 'upstreams: { docker.io: { ca: upstream.crt } }\negress: { ca: egress.crt }\n';
  await writeFile(at('config/hubgate.yaml'), text);
  const loaded = await loadConfig({ directory: home, environment: {}, readsSecrets: false });
  assert.ok('value' in loaded, JSON.stringify(loaded));
  const logs = new Map<Role, LoggedLine[]>();
  using stack = new DisposableStack();
  for (const role of ['core', 'auth', 'gateway'] as const) {
    const lines: LoggedLine[] = [];
    logs.set(role, lines);
    stack.use(await watchAuthorities(role, loaded.value, testLog(lines)));
  }
  const said = (role: Role) => (logs.get(role) ?? []).map(({ file }) => path.basename(String(file))).sort();
  // As cert-manager and editors do it.
  await writeFile(at('new.crt'), makeAuthority('another').cert);
  await rename(at('new.crt'), at('upstream.crt'));
  await waitFor(() => said('core').includes('upstream.crt'));
  await writeFile(at('egress.crt'), makeAuthority('another').cert);
  await waitFor(() => said('core').includes('egress.crt') && said('auth').includes('egress.crt'));
  assert.deepEqual(new Set(said('core')), new Set(['egress.crt', 'upstream.crt']));
  assert.deepEqual(new Set(said('auth')), new Set(['egress.crt']));
  assert.deepEqual(said('gateway'), []);
  assert.match(String(logs.get('core')?.[0]?.msg), /until a restart/);
});
