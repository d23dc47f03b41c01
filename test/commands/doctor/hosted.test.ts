import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { hostedRepositories } from '../../../src/commands/doctor/server/hosted.ts';
import { CORE_STATUS } from '../../../src/protocol/core-api.ts';
import { HostedCore } from '../../support/hosted-core.ts';

const config = { hosted: { directory: '/srv/hosted', namespaces: [] } };

test('a damaged database of the hosted repositories is in the status of the core and in doctor', async () => {
  await using core = await HostedCore.start();
  const whole = CORE_STATUS.parse(await core.core.operation('/status'));
  assert.deepEqual(whole.hosted, { error: null, uploads: 0 });
  assert.deepEqual(hostedRepositories({ config, core: whole }), { findings: [] });
  await core.core.restart({}, () => writeFile(`${core.directory}/hosted.db`, 'no database at all'));
  const damaged = CORE_STATUS.parse(await core.core.operation('/status'));
  assert.match(damaged.hosted?.error ?? '', /not a database/);
  const looked = hostedRepositories({ config, core: damaged });
  assert.ok('findings' in looked);
  assert.equal(looked.findings.length, 1);
  assert.match(looked.findings[0]?.mend ?? '', /move \/srv\/hosted away.*hubgate hosted restore/);
});
