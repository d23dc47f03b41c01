import { z } from 'zod';
import { POLICY_FILE } from '../access/policy-schema.ts';
import { configSchema } from '../config/json-schema.ts';
import { type ExitCode, printJson, type Terminal } from './terminal.ts';

/** The files for which there is a schema. */
export type SchemaName = 'access' | 'config';

/** Prints the JSON Schema of `access.yaml` or `hubgate.yaml`, for editors. */
export function printSchema(name: SchemaName, terminal: Terminal): ExitCode {
  printJson(terminal.stdout, name === 'access' ? policySchema() : configSchema());
  return 0;
}

export function policySchema(): object {
  const schema = z.toJSONSchema(POLICY_FILE, { io: 'input', unrepresentable: 'any', override: oneOrMany });
  return { ...schema, title: 'The access policy of a Hubgate mirror' };
}

/**
 * Adds to the schema that a list of one element may be written as the element alone. The loader makes it a
 * list before it validates, which JSON Schema cannot express.
 */
function oneOrMany({
  zodSchema,
  jsonSchema,
}: {
  zodSchema: z.core.$ZodType;
  jsonSchema: z.core.JSONSchema.JSONSchema;
}) {
  const { def } = zodSchema._zod as { readonly def: z.core.$ZodTypeDef & { readonly in?: z.core.$ZodType } };
  const { items, minItems } = jsonSchema;
  if (def.in?._zod.def.type !== 'transform' || items === undefined) return;
  delete jsonSchema.type;
  delete jsonSchema.items;
  delete jsonSchema.minItems;
  jsonSchema.anyOf = [
    items as z.core.JSONSchema.JSONSchema,
    { type: 'array', items, ...(minItems !== undefined && { minItems }) },
  ];
}
