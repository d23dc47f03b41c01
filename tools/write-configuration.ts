/**
 * Writes the files that are made from the schema of hubgate.yaml: the page for people, and the schema for
 * editors.
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { configSchema } from '../src/config/json-schema.ts';
import { configurationPage } from './configuration-page.ts';

const ROOT = path.join(import.meta.dirname, '..');

writeFileSync(path.join(ROOT, 'docs/configuration.md'), configurationPage());
writeFileSync(
  path.join(ROOT, 'config/hubgate.schema.json'),
  `${JSON.stringify(configSchema(), undefined, 2)}\n`,
);
