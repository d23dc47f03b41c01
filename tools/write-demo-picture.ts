/** Runs the demonstration and draws docs/demo.svg of what it printed: `npm run docs:demo`. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { demo } from './demo.ts';
import { demoPicture } from './demo-picture.ts';

let printed = '';
await demo((text) => {
  printed += `${text}\n`;
});
writeFileSync(path.join(import.meta.dirname, '../docs/demo.svg'), demoPicture(printed));
