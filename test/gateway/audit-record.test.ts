import assert from 'node:assert/strict';
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { test } from 'node:test';
import { ANONYMOUS, parseSubject } from '../../src/access/subject.ts';
import type { ReceivedRequest } from '../../src/gateway/audit/audit-record.ts';
import { createCallerOf, subjectKeyOf } from '../../src/gateway/authentication/request-keys.ts';
import { peerAddress } from '../../src/gateway/http/client-address.ts';

function received(
  name: string | undefined,
  remoteAddress: string,
  agent: string,
  socket = new Socket(),
): ReceivedRequest {
  const request = new IncomingMessage(socket);
  request.headers['user-agent'] = agent;
  const subject = parseSubject(name ?? '');
  return {
    request,
    authentication:
      subject === undefined
        ? { kind: 'anonymous', subject: ANONYMOUS }
        : { kind: 'authenticated', subject, credential: 'one' },
    address: peerAddress({ remoteAddress }),
    started: 0,
  };
}

test('a subject has one key at every address and with every client; a caller is one of these', () => {
  const here = received('user:ana', '10.0.0.1', 'docker');
  const there = received('user:ana', '10.0.0.2', 'podman');
  const other = received('user:bo', '10.0.0.1', 'docker');
  const callerOf = createCallerOf();
  assert.equal(subjectKeyOf(here), subjectKeyOf(there));
  assert.notEqual(subjectKeyOf(here), subjectKeyOf(other));
  assert.notEqual(callerOf(here), callerOf(there));
  assert.notEqual(callerOf(here), callerOf(other));
});

test('a client without an identity has the key of its address, whatever it calls itself', () => {
  const one = received(undefined, '10.0.0.1', 'docker');
  assert.equal(subjectKeyOf(one), subjectKeyOf(received(undefined, '10.0.0.1', 'podman')));
  assert.notEqual(subjectKeyOf(one), subjectKeyOf(received(undefined, '10.0.0.2', 'docker')));
});

test('requests of one connection have the caller of a connection of their own, and so have those that differ', () => {
  const socket = new Socket();
  const callerOf = createCallerOf();
  const senders = [
    ['user:ana', '10.0.0.1', 'docker'],
    ['user:ana', '10.0.0.1', 'docker'],
    ['user:bo', '10.0.0.1', 'docker'],
    ['user:bo', '10.0.0.2', 'docker'],
    ['user:bo', '10.0.0.2', 'podman'],
    [undefined, '10.0.0.2', 'podman'],
  ] as const;
  const callers = senders.map(([name, address, agent]) => callerOf(received(name, address, agent, socket)));
  assert.deepEqual(
    callers,
    senders.map(([name, address, agent]) => createCallerOf()(received(name, address, agent))),
  );
  assert.equal(new Set(callers).size, 5);
});
