import type { Context } from 'koa';
import { readBody } from '../../platform/read-body.ts';
import { OPERATION_SIZE } from '../limits.ts';

/**
 * Reads the JSON of a request about the cache or about what is hosted. A body that is too long is no JSON.
 */
export async function readOperation({ req }: Context): Promise<unknown> {
  const body = await readBody(req, OPERATION_SIZE);
  return JSON.parse(body?.toString('utf8') ?? '');
}
