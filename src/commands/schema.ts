import { policySchema } from '../access/policy-json-schema.ts';
import { configSchema } from '../config/json-schema.ts';
import { type ExitCode, printJson, type Terminal } from '../launch/terminal.ts';

/** The files for which there is a schema. */
export type SchemaName = 'access' | 'config';

/** Prints the JSON Schema of `access.yaml` or `hubgate.yaml`, for editors. */
export function printSchema(name: SchemaName, terminal: Terminal): ExitCode {
  printJson(terminal.stdout, name === 'access' ? policySchema() : configSchema());
  return 0;
}
