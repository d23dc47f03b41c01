import type { ServerResponse } from 'node:http';
import type { Authentication } from '../authentication/authenticate-client.ts';
import { respond } from '../http/respond.ts';
import { refuseUnauthenticated } from './refuse-access.ts';
import type { V2Dependencies } from './v2-request.ts';

/**
 * Docker logs in through this endpoint. A client that presents no login is challenged here, even if anonymous
 * may pull something, and even if it has a client certificate. Without the challenge docker and podman would
 * never present their login, and `docker login` would accept any password. A client without a login fetches a
 * token for the subject of its certificate here.
 */
export function answerPing(
  response: ServerResponse,
  authentication: Authentication,
  dependencies: Pick<V2Dependencies, 'challenge'>,
): void {
  if (authentication.kind === 'authenticated' || dependencies.challenge === undefined) {
    respond(response, 200, { 'content-type': 'application/json', 'content-length': 2 });
    response.end('{}');
  } else refuseUnauthenticated(response, authentication, dependencies);
}
