#!/usr/bin/env node
/**
 * The command hubgate, in a checkout and in the npm package. Every Node can read this file, so that one that is
 * too old prints what to do, and not a syntax error of another file.
 */
const { existsSync } = require('node:fs');
const path = require('node:path');
const { pathToFileURL } = require('node:url');

// The first Node 24 with long-term support. The SQLite of Node 24.0 does not take the statements of the cache.
const LOWEST = '24.11';

// A checkout has src. The npm package has lib, which tools/release/compile.ts makes of src, because Node runs no
// TypeScript below node_modules.
const root = path.join(__dirname, '..');
const source = path.join(root, 'src/bin/hubgate.ts');
const isCheckout = existsSync(source);

const [major, minor] = process.versions.node.split('.').map(Number);
const [lowestMajor, lowestMinor] = LOWEST.split('.').map(Number);

if (major < lowestMajor || (major === lowestMajor && minor < lowestMinor)) {
  process.stderr.write(
    `hubgate: it needs Node ${LOWEST} or newer, and ${process.execPath} is Node ${process.versions.node}.\n` +
      `npm can bring a newer one for this directory, and npx then uses it: ${isCheckout ? 'npm ci' : 'npm install node@26'} && npx hubgate start\n`,
  );
  process.exitCode = 2;
} else {
  void import(pathToFileURL(isCheckout ? source : path.join(root, 'lib/bin/hubgate.js')).href).then(
    ({ main }) => main(),
  );
}
