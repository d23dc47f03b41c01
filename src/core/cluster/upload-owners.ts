/**
 * Sends the requests of an upload to the node that began it, because its bytes are on the disk of that node.
 * The end of its id says which node that is, so no question to the database is necessary.
 */
import type { IncomingMessage } from 'node:http';
import { connect, type TLSSocket } from 'node:tls';
import type { ClusterLimits } from '../../cluster/limits.ts';
import type { ClusterNode, Nodes } from '../../cluster/nodes.ts';
import { PeerUnreachable } from '../../platform/ipc/http-client.ts';
import { type StreamedRequest, sendStreamedOver } from '../../platform/ipc/streamed-request.ts';
import { type UploadId, type UploadOwner, uploadOwner, uploadOwnerIn } from '../../registry/upload-id.ts';
import type { SendToOwner } from '../hosted/send-to-owner.ts';

export interface UploadOwnersOptions {
  readonly nodes: Nodes;
  /** The key of this node's certificate. */
  readonly key: string;
  readonly limits: Pick<ClusterLimits, 'peerAnswer' | 'renewEvery'>;
}

export class UploadOwners {
  /** The end of the ids of the uploads that this node begins. */
  readonly own: UploadOwner;
  readonly #options: UploadOwnersOptions;

  constructor(options: UploadOwnersOptions) {
    this.#options = options;
    this.own = uploadOwner(options.nodes.own.id);
  }

  /** Resolves to undefined if no other node has the upload: it has ended, or its owner has. */
  readonly send: SendToOwner = async (id, request) => {
    const node = await this.#ownerOf(id);
    if (node === undefined) return undefined;
    try {
      return await this.#send(node, request);
    } catch (error) {
      // The upload ends with its node, and the client begins again.
      if (error instanceof PeerUnreachable) return undefined;
      throw error;
    }
  };

  async #ownerOf(id: UploadId): Promise<ClusterNode | undefined> {
    const owner = uploadOwnerIn(id);
    if (owner === this.own) return undefined;
    return this.#options.nodes.findAlive((node) => uploadOwner(node.id) === owner);
  }

  /**
   * Gives up when the node has ended, because the end of an upload may take minutes on a node that is alive.
   * The upload may have begun after a new start of the node, so a node that has started again is looked up.
   */
  async #send(node: ClusterNode, request: StreamedRequest): Promise<IncomingMessage> {
    const { nodes, limits } = this.#options;
    let owner = node;
    const connectToOwner = () =>
      this.#connect(owner).catch(async (error: Error) => {
        const restarted = await nodes.findRestarted(owner);
        if (restarted === undefined) throw error;
        owner = restarted;
        return this.#connect(owner);
      });
    const gone = new AbortController();
    const watching = setInterval(() => {
      const { isAlive, certificate } = nodes.find(node.id) ?? { isAlive: false };
      if (!isAlive || certificate !== owner.certificate)
        gone.abort(new PeerUnreachable(`${node.id} has ended`));
    }, limits.renewEvery);
    try {
      const signal = AbortSignal.any([request.signal, gone.signal]);
      return await sendStreamedOver(connectToOwner, { ...request, signal });
    } finally {
      clearInterval(watching);
    }
  }

  async #connect({ address, certificate }: ClusterNode): Promise<TLSSocket> {
    const { nodes, key, limits } = this.#options;
    const { hostname, port } = new URL(`https://${address}`);
    const connection = connect({
      host: hostname.replace(/^\[|\]$/g, ''),
      port: Number(port),
      ...{ ca: certificate, cert: nodes.own.certificate, key, minVersion: 'TLSv1.3' },
      // The certificate itself is what is trusted, whatever name it has.
      checkServerIdentity: () => undefined,
    });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    connection.once('secureConnect', resolve).once('error', reject);
    const late = setTimeout(() => reject(new Error('no connection in time')), limits.peerAnswer);
    try {
      await promise;
      return connection;
    } catch (error) {
      connection.on('error', () => {}).destroy();
      throw error;
    } finally {
      clearTimeout(late);
      connection.off('error', reject);
    }
  }
}
