import { askPeer } from '../../platform/ipc/ask-peer.ts';
import { type HttpClient, openSocketClient } from '../../platform/ipc/http-client.ts';
import type { TextAnswer } from '../../platform/ipc/text-exchange.ts';
import { CORE_HEADERS, type ReadAccess } from '../../protocol/core-api.ts';
import { HOSTED_ANSWER_HEADERS, HOSTED_PATH, HOSTED_REQUEST_HEADERS } from '../../protocol/hosted-api.ts';
import type { Digest } from '../../registry/digest.ts';
import { formatReference, type Reference } from '../../registry/reference.ts';
import { HOSTED, type Repository } from '../../registry/repository.ts';

/** The milliseconds for a request. A large layer is copied on the disk. */
const DEADLINE = 10 * 60_000;

export interface HostedWriterOptions {
  readonly coreSocket: string;
  /** The path of the hosted repository. */
  readonly repository: string;
  /** The one whom the history names as having set the tags. */
  readonly subject: string;
}

/** Thrown if the core refuses to host something. Its message says why. */
export class HostingRefused extends Error {
  override readonly name = 'HostingRefused';
  readonly status: number;

  constructor(message: string, status: number) {
    super(message);
    this.status = status;
  }
}

/** Writes to a hosted repository of the running core, as a gateway does. */
export class HostedWriter implements AsyncDisposable {
  readonly #options: HostedWriterOptions;
  readonly #client: HttpClient & AsyncDisposable;

  constructor(options: HostedWriterOptions) {
    this.#options = options;
    this.#client = openSocketClient(options.coreSocket);
  }

  /**
   * Takes a blob from another repository of the core, without sending its bytes.
   * @throws HostingRefused
   */
  async mount(from: Repository, digest: Digest, access: ReadAccess): Promise<void> {
    const resource = `blobs/uploads/?mount=${encodeURIComponent(digest)}`;
    const headers = { [HOSTED_REQUEST_HEADERS.mountFrom]: `${from.upstream} ${from.path} ${access}` };
    const answer = await this.#send('POST', resource, headers);
    if (answer.statusCode === 202)
      throw new HostingRefused(`${digest} has left the cache meanwhile; try again`, 503);
  }

  /**
   * Returns the digest that a tag meant before, if it meant another one.
   * @throws HostingRefused
   */
  async putManifest(reference: Reference, mediaType: string, bytes: Buffer): Promise<string | undefined> {
    const resource = `manifests/${formatReference(reference)}`;
    const type = { 'content-type': mediaType };
    const { headers } = await this.#send('PUT', resource, type, bytes.toString('utf8'));
    const { [HOSTED_ANSWER_HEADERS.previous]: previous } = headers;
    return typeof previous === 'string' ? previous : undefined;
  }

  async #send(
    method: 'POST' | 'PUT',
    resource: string,
    headers: Readonly<Record<string, string>>,
    body = '',
  ): Promise<TextAnswer> {
    const { coreSocket, repository, subject } = this.#options;
    const answer = await askPeer(this.#client, coreSocket, {
      ...{ method, path: `${HOSTED_PATH}${resource}`, body, deadline: DEADLINE },
      headers: {
        ...{ [CORE_HEADERS.upstream]: HOSTED, [CORE_HEADERS.path]: repository },
        ...{
          [HOSTED_REQUEST_HEADERS.subjectKey]: 'hubgate promote',
          [HOSTED_REQUEST_HEADERS.credential]: 'operator',
        },
        ...{ [HOSTED_REQUEST_HEADERS.subject]: encodeURIComponent(subject), ...headers },
      },
    });
    if (answer.statusCode >= 300) throw new HostingRefused(messageOfRefusal(answer), answer.statusCode);
    return answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]();
  }
}

/** Returns the words of a refusal in the form of the distribution specification. */
function messageOfRefusal({ statusCode, text }: TextAnswer): string {
  try {
    return String(JSON.parse(text).errors[0].message);
  } catch {
    return `the core answers ${statusCode}`;
  }
}
