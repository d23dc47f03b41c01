import { z } from 'zod';

/**
 * What a token of the token specification says, for whoever was given it: nothing of it is verified, so nothing is to be
 * decided by it.
 */
export interface TokenClaims {
  readonly sub?: string | undefined;
  readonly access?: readonly { readonly name: string; readonly actions: readonly string[] }[] | undefined;
}

const CLAIMS: z.ZodType<TokenClaims> = z.object({
  sub: z.string().optional(),
  access: z.array(z.object({ name: z.string(), actions: z.array(z.string()) })).optional(),
});

/** Undefined of what is no JWT: a token may be anything. */
export function readTokenClaims(token: string): TokenClaims | undefined {
  try {
    const payload = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString();
    return CLAIMS.safeParse(JSON.parse(payload)).data;
  } catch {
    return undefined;
  }
}

/** What the token allows on the repository; none where it does not say. */
export function grantedActions(token: string, repository: string): readonly string[] {
  const access = readTokenClaims(token)?.access ?? [];
  return access.filter(({ name }) => name === repository).flatMap(({ actions }) => actions);
}
