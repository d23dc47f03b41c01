import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { z } from 'zod';
import { askPeer, PeerFailed, parseAnswer } from '../../src/platform/ipc/ask-peer.ts';
import { openSocketClient, PeerUnreachable } from '../../src/platform/ipc/http-client.ts';
import { longPoll } from '../../src/platform/ipc/long-poll-client.ts';

const WHOLE = 'HTTP/1.1 200 OK\r\netag: "1"\r\ncontent-length: 9\r\n\r\n{"a":"b"}';
const CUT_OFF = {
  'after some bytes': 'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"a"',
  'before the first byte': 'HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 9\r\n\r\n',
  'within a chunk': 'HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n9\r\n{"a"',
  'as Node gives a connection up': 'HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n',
};
const GET = { method: 'GET', path: '/a', deadline: 5_000 } as const;
const SCHEMA = z.object({ a: z.string() });

/**
 * Another process of ours that sends these bytes, one after the other, each on a connection of its own; then
 * the last again.
 */
async function peerThatSends(...answers: string[]) {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-peer-'));
  const socket = path.join(directory, 'peer.sock');
  let asked = 0;
  const server = createServer((connection) => {
    connection.on('error', () => {});
    connection.once('data', () => connection.end(answers[Math.min(asked++, answers.length - 1)] ?? ''));
  }).listen(socket);
  await once(server, 'listening');
  const http = openSocketClient(socket);
  return {
    http,
    get asked() {
      return asked;
    },
    async [Symbol.asyncDispose]() {
      await http[Symbol.asyncDispose]();
      server.close();
      await rm(directory, { recursive: true });
    },
  };
}

for (const [where, bytes] of Object.entries(CUT_OFF)) {
  test(`an answer that is cut off ${where} is asked for again where that changes nothing`, async () => {
    await using peer = await peerThatSends(bytes, WHOLE);
    assert.deepEqual(parseAnswer('auth', await askPeer(peer.http, 'auth', GET), SCHEMA), { a: 'b' });
    assert.equal(peer.asked, 2);
  });

  test(`an answer that is cut off ${where} is the other side's failure`, async () => {
    await using peer = await peerThatSends(bytes);
    const post = { ...GET, method: 'POST', body: '{}' } as const;
    await assert.rejects(askPeer(peer.http, 'auth', post), PeerUnreachable);
    assert.equal(peer.asked, 1);
    await assert.rejects(askPeer(peer.http, 'auth', GET), PeerUnreachable);
  });
}

test('a status that says a failure, and an answer that is none, are told from what was asked for', async () => {
  const json = (status: string, body: string) =>
    `HTTP/1.1 ${status}\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  await using failing = await peerThatSends(json('500 Internal Server Error', '{"a":"b"}'));
  await assert.rejects(askPeer(failing.http, 'auth', GET), {
    name: 'PeerFailed',
    message: /^auth failed.*500.*GET \/a/,
  });
  for (const answer of [
    json('200 OK', '{"b":1}'),
    json('200 OK', '<html>'),
    json('404 Not Found', '{"a":"b"}'),
  ]) {
    await using peer = await peerThatSends(answer);
    const said = await askPeer(peer.http, 'auth', GET);
    assert.throws(() => parseAnswer('auth', said, SCHEMA), PeerFailed);
  }
});

test('what another role is followed for is taken from a 200 alone', async () => {
  const read = (text: string) => SCHEMA.parse(JSON.parse(text));
  const followed = { peer: 'auth', path: '/a', read };
  for (const status of ['400 Bad Request', '404 Not Found', '500 Internal Server Error']) {
    await using peer = await peerThatSends(WHOLE.replace('200 OK', status));
    await assert.rejects(longPoll(peer.http, followed, { wait: false }), PeerFailed, status);
  }
  await using whole = await peerThatSends(WHOLE);
  const told = await longPoll(whole.http, followed, { wait: false });
  assert.deepEqual(told, { etag: '"1"', value: { a: 'b' } });
});
