import { z } from 'zod';
import { POLICY_FILE } from './policy-schema.ts';

/** Returns the JSON Schema of `access.yaml`, for editors. */
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
