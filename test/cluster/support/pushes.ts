/** Pushes of clients that repeat what fails, and a judge of what they were told is kept. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { assertBytes } from '../../support/assert-bytes.ts';
import type { TestRequest, TestResponse } from '../../support/http.ts';
import { imageOf, type TestImage } from '../../support/image.ts';
import type { RunningMirror } from '../../support/running-mirror.ts';
import { waitFor } from '../../support/wait-for.ts';
import type { ObjectServer } from './object-servers.ts';
import { PASSWORD, type TestNodes } from './test-nodes.ts';

const REPOSITORY = 'acme-internal/app';
/** The part of `hubgate.yaml` and the rule of a policy that let zoe push. */
export const HOSTED = 'hosted: { namespaces: { "acme-internal/**": {} } }\n';
export const PUSH_RULE = '  - { id: push, push: "acme-internal/**", to: zoe }\n';
const LOGIN = { authorization: `Basic ${Buffer.from(`zoe:${PASSWORD}`).toString('base64')}` };
/** The milliseconds after which a client gives up one request and repeats it. */
const PATIENCE = 30_000;
/** The answers that mean the client itself, which none of these has deserved. */
const WRONG = [400, 401, 403, 405, 409, 413];

export class Pushes {
  readonly faults: string[] = [];
  /** The images of pushes that were answered with 201, by their tags. */
  readonly #kept = new Map<string, TestImage>();
  readonly #cluster: TestNodes;
  #turn = 0;

  constructor(cluster: TestNodes) {
    this.#cluster = cluster;
  }

  get count(): number {
    return this.#kept.size;
  }

  /** Pushes an image with a tag of its own, until every part of it is answered with 201. */
  async push(tag: string, layers: readonly Buffer[]): Promise<void> {
    const image = imageOf({ layers });
    for (const [digest, bytes] of image.blobs) await this.#until201(() => this.#putBlob(digest, bytes));
    const target = `/v2/${REPOSITORY}/manifests/${tag}`;
    await this.#until201((node) => send(node, target, 'PUT', image.bytes, image.mediaType));
    this.#kept.set(tag, image);
  }

  /** Each node serves what was pushed, and each row has its object. */
  async check(s3: ObjectServer): Promise<void> {
    assert.deepEqual(this.faults, []);
    const { nodes, server, database } = this.#cluster;
    const rows = server.run('SELECT digest, object FROM hubgate.hosted_content', database).trim();
    const blobs = new Map([...this.#kept.values()].flatMap((image) => [...image.blobs]));
    const objects = new Map(rows.split('\n').map((row) => row.split('|') as [string, string]));
    for (const [digest, bytes] of blobs) {
      const object = objects.get(digest) ?? assert.fail(`${digest} has no row`);
      assertBytes(await readFile(path.join(s3.bucket ?? assert.fail(), object)), bytes);
    }
    for (const node of nodes) for (const [tag, image] of this.#kept) await assertServed(node, tag, image);
  }

  async #putBlob(digest: string, bytes: Buffer): Promise<TestResponse | undefined> {
    const node = this.#next();
    const begun = await send(node, `/v2/${REPOSITORY}/blobs/uploads/`, 'POST');
    if (begun?.status !== 202) return begun;
    return send(node, `${begun.headers.location}?digest=${digest}`, 'PUT', bytes);
  }

  async #until201(ask: (node: RunningMirror) => Promise<TestResponse | undefined>): Promise<void> {
    for (;;) {
      const answer = await ask(this.#next());
      if (answer?.status === 201) return;
      if (answer !== undefined && WRONG.includes(answer.status))
        this.faults.push(`${answer.status} for a push: ${answer.body}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** A balancer sends each attempt to the next node. */
  #next(): RunningMirror {
    return this.#cluster.node(this.#turn++ % this.#cluster.nodes.length);
  }
}

async function assertServed(node: RunningMirror, tag: string, image: TestImage): Promise<void> {
  const parts = [
    [`manifests/${tag}`, image.bytes] as const,
    ...[...image.blobs].map(([digest, bytes]) => [`blobs/${digest}`, bytes] as const),
  ];
  for (const [part, bytes] of parts)
    await waitFor(async () => {
      const answer = await node.ask(`/v2/${REPOSITORY}/${part}`, { headers: LOGIN }).catch(() => undefined);
      assert.notEqual(answer?.status, 404, `${part} is lost`);
      if (answer?.status === 200) assertBytes(answer.body, bytes);
      return answer?.status === 200;
    });
}

/** Sends a request once; undefined if it is broken off. */
function send(
  node: RunningMirror,
  target: string,
  method: string,
  bytes?: Buffer,
  type = 'application/octet-stream',
): Promise<TestResponse | undefined> {
  const headers = { ...LOGIN, 'content-type': type, 'content-length': String(bytes?.length ?? 0) };
  const request: TestRequest = { method, headers, signal: AbortSignal.timeout(PATIENCE) };
  return node.ask(target, { ...request, ...(bytes && { send: bytes }) }).catch(() => undefined);
}
