import path from 'node:path';
import { test } from 'node:test';
import { testInMountNamespace, whyNoMounts } from '../support/in-mount-namespace.ts';

const skip = await whyNoMounts();

test(
  'invariant 11: docker and skopeo pull cold images while the disk of the cache is full or fills up',
  { skip },
  () => testInMountNamespace(path.join(import.meta.dirname, '../support/fixtures/full-disk-clients.ts')),
);
