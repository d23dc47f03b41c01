/** Builds or installs the object stores that the tests of a cluster need, once for each machine. */
import { installObjectServers } from './support/object-servers.ts';

for (const [name, reason] of Object.entries(await installObjectServers()))
  process.stdout.write(`# ${name}: ${reason ?? 'is installed'}\n`);
