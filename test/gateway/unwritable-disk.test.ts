import path from 'node:path';
import { test } from 'node:test';
import { testInMountNamespace, whyNoMounts } from '../support/in-mount-namespace.ts';

const skip = await whyNoMounts();

test('invariant 15: a cache disk that cannot be written does not stop a start', { skip }, () =>
  testInMountNamespace(path.join(import.meta.dirname, '../support/fixtures/unwritable-disk.ts')),
);
