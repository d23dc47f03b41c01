/**
 * Runs one role in a process that `hubgate start` has started: `role.ts --role ROLE --home DIRECTORY`. It is
 * separate from the verbs, so that no role loads what those need.
 */
import { parseArgs } from 'node:util';
import { ROLES } from '../config/home.ts';
import { startSupervised } from '../launch/supervised-role.ts';

const { values } = parseArgs({ options: { role: { type: 'string' }, home: { type: 'string' } } });
const role = ROLES.find((one) => one === values.role);
if (role === undefined || values.home === undefined || process.send === undefined) {
  process.stderr.write('hubgate: this is a part of hubgate start, and is started by it\n');
  process.exitCode = 2;
} else {
  process.exitCode = await startSupervised(role, values.home);
}
// The channel to the supervisor would keep the process alive.
if (process.connected) process.disconnect?.();
