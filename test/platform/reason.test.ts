import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { describe, test } from 'node:test';
import { sqliteResultCode } from '../../src/platform/disk-failure.ts';
import { asError, errorCode, isErrno, messageOf, reasonOf } from '../../src/platform/reason.ts';

describe('whatever was thrown', () => {
  const missing = thrownBy(() => readFileSync('/nowhere/file'));

  test('has a message and can be used as an error, even if it is not an error', () => {
    assert.equal(messageOf(new Error('broken')), 'broken');
    assert.equal(messageOf('broken'), 'broken');
    assert.equal(messageOf(undefined), 'undefined');
    assert.equal(asError(missing), missing);
    assert.equal(asError('broken').message, 'broken');
  });

  test('has a code only if Node or a package gave it one', () => {
    assert.equal(errorCode(missing), 'ENOENT');
    assert.equal(errorCode(new Error('broken')), undefined);
    assert.equal(errorCode(undefined), undefined);
    // The code of a DOMException is a number.
    assert.equal(errorCode(new DOMException('stopped', 'AbortError')), undefined);
  });

  test('is compared with several codes', () => {
    assert.ok(isErrno(missing, 'EACCES', 'ENOENT'));
    assert.ok(!isErrno(missing, 'EACCES'));
    assert.ok(!isErrno('ENOENT', 'ENOENT'));
    assert.ok(!isErrno(new Error('broken'), ''));
  });

  test('is explained without the name of the file and the system call', () => {
    assert.equal(reasonOf(missing), 'there is no such file');
    assert.equal(reasonOf('broken'), 'broken');
  });

  test('has the primary result code of SQLite', () => {
    using database = new DatabaseSync(':memory:');
    database.exec('CREATE TABLE one (id INTEGER PRIMARY KEY) STRICT; INSERT INTO one VALUES (1)');
    const twice = thrownBy(() => database.exec('INSERT INTO one VALUES (1)'));
    assert.equal(sqliteResultCode(twice), 19);
    assert.equal(sqliteResultCode(missing), undefined);
    assert.equal(sqliteResultCode(undefined), undefined);
  });
});

function thrownBy(task: () => unknown): unknown {
  try {
    task();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}
