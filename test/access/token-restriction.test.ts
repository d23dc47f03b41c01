import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileTokenRestriction, type TokenRestrictionData } from '../../src/access/token-restriction.ts';
import { ACTIONS } from '../../src/registry/action.ts';
import { parseRepositoryName } from '../../src/registry/repository.ts';

const HERE = '10.1.1.1';

function allowed(data: TokenRestrictionData, name: string, address = HERE): string[] {
  const repository = parseRepositoryName(name) ?? assert.fail(name);
  return ACTIONS.filter((action) => compileTokenRestriction(data).allows(action, repository, address));
}

test('a credential that is limited to pulls pulls alone, even where its owner may push', () => {
  const data = { pull: ['hosted/acme-internal/**'] };
  assert.deepEqual(allowed(data, 'hosted/acme-internal/app'), ['pull']);
  assert.deepEqual(allowed(data, 'docker.io/library/alpine'), []);
});

test('a credential that is limited to pushes pushes and pulls there, and deletes nothing', () => {
  const data = { push: ['hosted/acme-internal/app'], pull: ['docker.io/library/**'] };
  assert.deepEqual(allowed(data, 'hosted/acme-internal/app'), ['pull', 'push']);
  assert.deepEqual(allowed(data, 'docker.io/library/alpine'), ['pull']);
  assert.deepEqual(allowed(data, 'hosted/acme-internal/other'), []);
});

test('everything is what is mirrored', () => {
  assert.deepEqual(allowed({ pull: ['**'] }, 'hosted/acme-internal/app'), []);
  assert.deepEqual(allowed({ pull: ['**'] }, 'docker.io/library/alpine'), ['pull']);
});

test('a credential that is limited to networks does what its owner may, from there', () => {
  assert.deepEqual(allowed({ from: ['10.0.0.0/8'] }, 'hosted/a/b'), [...ACTIONS]);
  assert.deepEqual(allowed({ from: ['10.0.0.0/8'] }, 'hosted/a/b', '192.0.2.1'), []);
});
