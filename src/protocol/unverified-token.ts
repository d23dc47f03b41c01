import { z } from 'zod';

/**
 * The claims of a token, for a client that has received it. Nothing is verified, so nothing may be decided by
 * them.
 */
export interface UnverifiedToken {
  readonly sub?: string | undefined;
  readonly access?: readonly { readonly name: string; readonly actions: readonly string[] }[] | undefined;
}

const CLAIMS: z.ZodType<UnverifiedToken> = z.object({
  sub: z.string().optional(),
  access: z.array(z.object({ name: z.string(), actions: z.array(z.string()) })).optional(),
});

/** Returns undefined if the token is not a JWT, because a token may be anything. */
export function parseUnverifiedToken(token: string): UnverifiedToken | undefined {
  try {
    const payload = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString();
    return CLAIMS.safeParse(JSON.parse(payload)).data;
  } catch {
    return undefined;
  }
}

/** Returns the actions that the token allows on the repository; none if it does not tell. */
export function grantedActions(token: string, repository: string): readonly string[] {
  const access = parseUnverifiedToken(token)?.access ?? [];
  return access.filter(({ name }) => name === repository).flatMap(({ actions }) => actions);
}
