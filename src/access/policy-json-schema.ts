import { z } from 'zod';
import { oneOrManyJson } from '../platform/yaml/yaml-schema.ts';
import { POLICY_FILE } from './policy-schema.ts';

/** Returns the JSON Schema of `access.yaml`, for editors. */
export function policySchema(): object {
  const schema = z.toJSONSchema(POLICY_FILE, {
    io: 'input',
    unrepresentable: 'any',
    override: oneOrManyJson,
  });
  return { ...schema, title: 'The access policy of a Hubgate mirror' };
}
