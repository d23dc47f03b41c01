/** What a node passes on of an upload that another node has, in both directions. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, request, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { test } from 'node:test';
import Koa from 'koa';
import { forwardUpload } from '../../../src/core/routes/forward-upload.ts';
import { sendStreamedOver } from '../../../src/platform/ipc/streamed-request.ts';
import { CORE_HEADERS } from '../../../src/protocol/core-api.ts';
import {
  HOSTED_ANSWER_HEADERS,
  HOSTED_REQUEST_HEADERS,
  WRITE_ANSWER_HEADERS,
  WRITE_BODY_HEADERS,
} from '../../../src/protocol/hosted-api.ts';

/** Each header that a gateway reads of an answer. */
const ANSWERED = [...WRITE_ANSWER_HEADERS, ...Object.values(HOSTED_ANSWER_HEADERS), CORE_HEADERS.error];

/** Each header that a gateway sends, with a value that fits. */
const SENT: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    [
      ...[CORE_HEADERS.upstream, CORE_HEADERS.path, CORE_HEADERS.caller],
      ...[...Object.values(HOSTED_REQUEST_HEADERS), ...WRITE_BODY_HEADERS],
    ].map((name) => [name, `sent ${name}`]),
  ),
  'content-length': '3',
};

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

test('a node passes on all that a gateway and a core say to each other of an upload', async () => {
  let received: IncomingHttpHeaders = {};
  const owner = createServer((incoming, answer) => {
    received = incoming.headers;
    for (const name of ANSWERED) answer.setHeader(name, `answered ${name}`);
    answer.setHeader('oci-tag', ['1', '2']);
    incoming.resume();
    answer.writeHead(201, { 'x-other': 'dropped' }).end('words');
  });
  const ownerPort = await listening(owner);
  const app = new Koa();
  app.use(async (context) => {
    context.set(HOSTED_ANSWER_HEADERS.push, 'of this node');
    await forwardUpload(context, (sent) =>
      sendStreamedOver(async () => connect(ownerPort, '127.0.0.1'), sent),
    );
  });
  const node = createServer(app.callback());
  const port = await listening(node);
  try {
    const asked = request({
      ...{ port, method: 'PUT', path: '/hosted/blobs/uploads/1' },
      headers: { ...SENT, 'x-other': 'dropped' },
    });
    asked.end('abc');
    const [answer] = await once(asked, 'response');
    answer.resume();
    await once(answer, 'end');
    for (const [name, value] of Object.entries(SENT)) assert.equal(received[name], value);
    for (const name of ANSWERED.filter((one) => one !== 'oci-tag' && one !== HOSTED_ANSWER_HEADERS.push))
      assert.equal(answer.headers[name], `answered ${name}`);
    assert.deepEqual(answer.headersDistinct['oci-tag'], ['1', '2']);
    assert.equal(answer.headers[HOSTED_ANSWER_HEADERS.push], 'of this node');
    assert.deepEqual([received['x-other'], answer.headers['x-other']], [undefined, undefined]);
  } finally {
    for (const server of [node, owner]) server.close().closeAllConnections();
  }
});
