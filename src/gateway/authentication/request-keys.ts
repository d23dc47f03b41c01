/** The keys by which the gateway and the core tell callers, subjects and their shares apart. */
import { hash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { ANONYMOUS, formatSubject } from '../../access/subject.ts';
import { addressKey, type ClientAddress } from '../http/client-address.ts';
import type { Authentication } from './authenticate-client.ts';

/** A request whose client was identified. */
export interface IdentifiedRequest {
  readonly request: IncomingMessage;
  readonly authentication: Authentication;
  readonly address: ClientAddress;
}

/**
 * Returns the text by which the core recognises a caller. A caller is one subject at one address with one
 * client program.
 */
export type CallerOf = (received: IdentifiedRequest) => string;

interface ConnectionCaller {
  readonly subject: string;
  readonly address: ClientAddress;
  readonly agent: string;
  readonly caller: string;
}

/**
 * The text is a hash, so that the core need not know what it is made of, and so that a long text cannot fill
 * its memory. The last one of each connection is cached, because the requests of a connection usually have
 * the same caller.
 */
export function createCallerOf(): CallerOf {
  const last = new WeakMap<Socket, ConnectionCaller>();
  return ({ authentication, address, request }) => {
    const agent = request.headers['user-agent'] ?? '';
    const subject = subjectText(authentication);
    const known = last.get(request.socket);
    if (known?.subject === subject && known.address === address && known.agent === agent) return known.caller;
    const caller = hash('sha256', JSON.stringify([subject, address, agent]), 'base64url');
    last.set(request.socket, { subject, address, agent, caller });
    return caller;
  };
}

/**
 * Returns the text by which the core recognises a subject, whose share of an upstream is bounded. It is a
 * hash too, and it does not depend on the client's name, because the client chooses that.
 */
export function subjectKeyOf({ authentication, address }: IdentifiedRequest): string {
  return hash('sha256', shareOf(authentication, address), 'base64url');
}

/**
 * Returns the key of the share that a request takes of a bounded resource: the subject, or the address if the
 * client has not proved who it is.
 */
export function shareOf(authentication: Authentication, address: ClientAddress): string {
  return authentication.kind === 'authenticated'
    ? formatSubject(authentication.subject)
    : addressKey(address);
}

export function subjectText(authentication: Authentication): string {
  return formatSubject(authentication.kind === 'rejected' ? ANONYMOUS : authentication.subject);
}
