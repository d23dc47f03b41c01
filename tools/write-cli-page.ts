/** Writes the page about the command line. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { cliPage } from './cli-page.ts';

writeFileSync(path.join(import.meta.dirname, '../docs/cli.md'), cliPage());
