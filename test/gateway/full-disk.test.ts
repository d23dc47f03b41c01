import path from 'node:path';
import { test } from 'node:test';
import { testInMountNamespace, whyNoMounts } from '../support/in-mount-namespace.ts';

const skip = await whyNoMounts();

test('invariant 11: a full disk does not stop a pull', { skip }, () =>
  testInMountNamespace(path.join(import.meta.dirname, '../support/fixtures/full-disk.ts')),
);
