import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

const ROOT = path.join(import.meta.dirname, '../..');

/** Runs a module in a process of its own, because undici's index changes the classes that it exports. */
async function evaluate(source: string): Promise<unknown> {
  const args = ['--input-type=module', '--eval', `${source}\nconsole.log(JSON.stringify(result));`];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: ROOT, env: {} });
  return JSON.parse(stdout);
}

const METHODS = `const methodsOf = (...classes) =>
  classes.map(({ prototype }) => Object.getOwnPropertyNames(prototype).sort());`;

test('the parts of undici are put together as its own index does', async () => {
  const [ours, theirs, isSame] = await Promise.all([
    evaluate(`import { Agent, Pool } from './src/platform/undici.ts';
      import Dispatcher from 'undici/lib/dispatcher/dispatcher.js';
      ${METHODS} const result = methodsOf(Dispatcher, Agent, Pool);`),
    evaluate(`import { Agent, Dispatcher, Pool } from 'undici';
      ${METHODS} const result = methodsOf(Dispatcher, Agent, Pool);`),
    evaluate(`import * as parts from './src/platform/undici.ts';
      import * as whole from 'undici';
      const result = ['Agent', 'Pool', 'buildConnector', 'errors'].map((name) => parts[name] === whole[name]);`),
  ]);
  assert.deepEqual(ours, theirs);
  assert.deepEqual(isSame, [true, true, true, true]);
});
