/** What the pages print below a question to the policy is what Hubgate says of the policy above it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { runVerb } from '../commands/support/terminal.ts';

const ROOT = path.join(import.meta.dirname, '../..');

const POLICY = /^```yaml\n(# config\/access\.yaml\n[\s\S]*?)^```$/gm;
const QUESTION = /^\$ (?:npx )?hubgate (access explain .*)\n((?!\$ |```)[\s\S]*?)(?=^\$ |^```$)/gm;

async function homeWith(t: TestContext, policy: string): Promise<string> {
  const home = await mkdtemp(path.join(tmpdir(), 'hubgate-answers-'));
  t.after(() => rm(home, { recursive: true, force: true }));
  await mkdir(path.join(home, 'config'));
  await writeFile(path.join(home, 'config/access.yaml'), policy);
  return home;
}

for (const page of ['docs/try.md', 'docs/policy-tutorial.md']) {
  test(`${page} prints what Hubgate says`, async (t) => {
    const text = readFileSync(path.join(ROOT, page), 'utf8');
    const questions = [...text.matchAll(QUESTION)];
    assert.ok(questions.length > 0);
    for (const { index, 1: question = '', 2: answer } of questions) {
      const policy = [...text.slice(0, index).matchAll(POLICY)].at(-1)?.[1] ?? assert.fail(question);
      const home = await homeWith(t, policy);
      const words = question.split(' ');
      const user = ['user', 'add', words[2] ?? '', '--password-stdin', '--home', home];
      assert.equal((await runVerb(user, { typed: 'correct horse battery\n' })).code, 0);
      const { stdout, stderr } = await runVerb([...words, '--home', home]);
      assert.equal(stdout, answer, stderr);
    }
  });
}
