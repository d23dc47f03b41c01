import type { ServerResponse } from 'node:http';
import type { BearerChallenge } from '../../registry/challenge.ts';
import { ERRORS, type ErrorName } from '../../registry/error.ts';
import type { Authentication } from '../authentication/authenticate-client.ts';
import type { AccessDecision } from '../authorization/authorize.ts';
import { type RefusedResponse, refuse } from '../http/respond.ts';
import type { V2Dependencies } from './v2-request.ts';

type Challenges = Pick<V2Dependencies, 'challenge'>;

/** Refuses a client that has not proved who it is. */
export function refuseUnauthenticated(
  response: ServerResponse,
  authentication: Authentication,
  dependencies: Challenges,
  scope?: string,
): void {
  if (dependencies.challenge === undefined) return refuse(response, { error: 'DENIED' });
  const error = authentication.kind === 'rejected' ? authentication.error : 'UNAUTHORIZED';
  const message = authentication.kind === 'rejected' ? authentication.message : undefined;
  refuse(response, {
    error,
    ...advice(error, { scope }, dependencies),
    ...(message !== undefined && { message }),
  });
}

/** Returns the refusal of a request that was not authorized. */
export function accessRefusal(
  authentication: Authentication,
  { error, scope, because }: AccessDecision & { kind: 'refused' },
  dependencies: Challenges,
): RefusedResponse {
  const isOfCertificate = authentication.certificateFault !== undefined;
  return {
    error,
    ...advice(error, { scope, because, isOfCertificate }, dependencies),
    ...(because !== undefined && { message: because }),
  };
}

const REASONS: Readonly<Partial<Record<ErrorName, BearerChallenge['error']>>> = {
  INVALID_TOKEN: 'invalid_token',
  INSUFFICIENT_SCOPE: 'insufficient_scope',
};

interface Advised {
  readonly scope?: string | undefined;
  readonly because?: string | undefined;
  /** True if the reason is about the presented client certificate. */
  readonly isOfCertificate?: boolean;
}

/**
 * A 401 has exactly one challenge, never Basic. A challenge with an error code stops clients from retrying
 * the same credential. Its description says no more than the body, which many clients do not display.
 */
function advice(
  error: ErrorName,
  { scope, because, isOfCertificate }: Advised,
  { challenge }: Challenges,
): { challenge?: BearerChallenge; retryAfter?: number } {
  if (error === 'TOO_MANY_LOGINS' || error === 'TOO_MANY_REQUESTS') return { retryAfter: 1 };
  if (ERRORS[error].status !== 401 || challenge === undefined) return {};
  const reason = REASONS[error];
  return {
    challenge: {
      ...{ ...challenge, ...(scope !== undefined && { scope }), ...(reason && { error: reason }) },
      ...(because !== undefined && (reason || isOfCertificate) && { description: because }),
    },
  };
}
