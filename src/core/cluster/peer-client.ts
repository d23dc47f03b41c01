import { Readable } from 'node:stream';
import type { ClusterLimits } from '../../cluster/limits.ts';
import type { ClusterNode, Nodes } from '../../cluster/nodes.ts';
import { Pool } from '../../platform/undici.ts';
import type { Digest } from '../../registry/digest.ts';
import type { BlobBody } from '../upstream/read-blob.ts';
import { readFrames } from './peer-frames.ts';
import { CONTENT_PATH, SIZE_HEADER } from './peer-server.ts';

export interface PeerClientOptions {
  readonly nodes: Nodes;
  /** The key of this node's certificate. */
  readonly key: string;
  readonly limits: ClusterLimits;
}

/**
 * The content from another node. `absent`: the node does not have it. `unanswered`: the node did not give it;
 * `isRefused` is true if nothing listens there.
 */
export type PeerAnswer =
  | { readonly kind: 'content'; readonly body: BlobBody }
  | { readonly kind: 'absent' }
  | { readonly kind: 'unanswered'; readonly isRefused: boolean };

export class PeerClient implements AsyncDisposable {
  readonly #options: PeerClientOptions;
  readonly #pools = new Map<string, { readonly certificate: string; readonly pool: Pool }>();

  constructor(options: PeerClientOptions) {
    this.#options = options;
  }

  /**
   * Opens content from the offset `from` on. The answer must begin within so many milliseconds. A node that
   * has started again is asked once more.
   * @throws DatabaseUnavailable
   */
  async open(
    node: ClusterNode,
    digest: Digest,
    from: number,
    within = Number.POSITIVE_INFINITY,
  ): Promise<PeerAnswer> {
    const answer = await this.#open(node, digest, from, within);
    const restarted =
      answer.kind === 'unanswered' ? await this.#options.nodes.findRestarted(node) : undefined;
    return restarted === undefined ? answer : this.#open(restarted, digest, from, within);
  }

  async #open(node: ClusterNode, digest: Digest, from: number, within: number): Promise<PeerAnswer> {
    try {
      const answer = await this.#request(node, `${CONTENT_PATH}${digest}?from=${from}`, within);
      // It may break off before anybody reads it. Whoever reads it later gets the error too.
      answer.body.on('error', () => {});
      if (answer.statusCode !== 200) {
        await answer.body.dump();
        // A node that is too busy, or does not know this one yet, has the content nevertheless.
        return answer.statusCode === 404 ? { kind: 'absent' } : { kind: 'unanswered', isRefused: false };
      }
      const size = Number(answer.headers[SIZE_HEADER]);
      const frames = Readable.from(readFrames(answer.body), { objectMode: false });
      // Whoever stops reading ends the request.
      frames.once('close', () => answer.body.destroy());
      return {
        kind: 'content',
        body: { from, body: frames, isFree: true, size: Number.isSafeInteger(size) ? size : undefined },
      };
    } catch (error) {
      return {
        kind: 'unanswered',
        isRefused: error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED',
      };
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#pools.values()].map(({ pool }) => pool.destroy()));
  }

  /** A connection that is being opened does not heed the signal, so the time is measured beside it. */
  async #request(node: ClusterNode, path: string, within: number) {
    const { peerAnswer, peerIdle } = this.#options.limits;
    const { promise: late, reject } = Promise.withResolvers<never>();
    const ending = new AbortController();
    const timer = setTimeout(
      () => {
        ending.abort();
        reject(new Error(`node ${node.id} has not answered in time`));
      },
      Math.min(within, 2 * peerAnswer),
    );
    try {
      const answer = this.#poolOf(node).request({
        ...{ method: 'GET', path, signal: ending.signal },
        ...{ headersTimeout: peerAnswer, bodyTimeout: peerIdle },
      });
      return await Promise.race([answer, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** A node that has started again has another certificate. */
  #poolOf({ id, address, certificate }: ClusterNode): Pool {
    const { nodes, key, limits } = this.#options;
    const known = this.#pools.get(id);
    if (known?.certificate === certificate) return known.pool;
    void known?.pool.destroy();
    const pool = new Pool(`https://${address}`, {
      connections: 64,
      pipelining: 1,
      connect: {
        ca: certificate,
        cert: nodes.own.certificate,
        key,
        minVersion: 'TLSv1.3',
        timeout: limits.peerAnswer,
        // The certificate itself is what is trusted, whatever name it has.
        checkServerIdentity: () => undefined,
      },
    });
    this.#pools.set(id, { certificate, pool });
    return pool;
  }
}
