/**
 * Objects in an S3-compatible store. Only requests are used that every such store has: PutObject, GetObject
 * with a range, HeadObject, DeleteObject, multipart uploads and ListObjectsV2. Nothing depends on conditional
 * writes, copies, lifecycles or presigned URLs, in which stores differ.
 */
import type { Readable } from 'node:stream';
import type { Logger } from '../../platform/log.ts';
import type { ObservableValue } from '../../platform/observable-value.ts';
import type { ReceivedHeaders } from '../../platform/undici.ts';
import { ObjectHealth } from './object-health.ts';
import { ObjectParts, type ObjectUpload } from './object-parts.ts';
import { drop, ObjectRequests, type ObjectRequestsOptions, readText } from './object-requests.ts';
import { type ObjectResult, stored, storeUnavailable } from './object-result.ts';
import { elements, elementText } from './object-xml.ts';

export interface ObjectStoreOptions extends ObjectRequestsOptions {
  readonly log: Logger;
}

export interface ObjectContent {
  /** The size of the whole object. */
  readonly size: number;
  readonly body: Readable;
}

export interface ListedObject {
  readonly key: string;
  readonly modifiedAt: number;
}

export interface ListedObjects {
  readonly objects: readonly ListedObject[];
  /** True if more keys follow the last one. */
  readonly isMore: boolean;
  /** The time by the clock of the store. */
  readonly now: number;
}

/** The bytes of a page of 1,000 keys are at most so many. */
const MAX_PAGE = 4 * 2 ** 20;

export class ObjectStore implements AsyncDisposable {
  readonly #options: ObjectStoreOptions;
  readonly #requests: ObjectRequests;
  readonly #health: ObjectHealth;
  readonly #parts: ObjectParts;

  constructor(options: ObjectStoreOptions) {
    this.#options = options;
    this.#requests = new ObjectRequests(options);
    this.#parts = new ObjectParts(this.#requests, options.limits);
    const probe = (signal: AbortSignal) => this.probe(signal);
    this.#health = new ObjectHealth({ probe, limits: options.limits, log: options.log });
  }

  /** Has the reason why the store cannot be used; undefined while it can. It follows a change within 2 s. */
  get trouble(): ObservableValue<string | undefined> {
    return this.#health.trouble;
  }

  /** Asks for the bucket, whatever is known of the store. */
  async probe(signal: AbortSignal): Promise<ObjectResult<void>> {
    const answer = await this.#requests.send({
      operation: 'probe',
      method: 'HEAD',
      accepted: [200],
      patience: this.#options.limits.probe,
      signal,
    });
    if (answer.kind !== 'ok') return answer;
    drop(answer.value);
    return stored(undefined);
  }

  /** Puts an object whole, or not at all. */
  async put(key: string, upload: ObjectUpload, signal: AbortSignal): Promise<ObjectResult<void>> {
    const { limits } = this.#options;
    return this.#health.guard(signal, async (guarded) => {
      if (upload.size > limits.single) return this.#parts.put(key, upload, guarded);
      const body = (await upload.open()).on('error', () => {});
      try {
        const answer = await this.#requests.send({
          ...{ operation: 'put', method: 'PUT', key, body, sha256: upload.sha256 },
          headers: { 'content-length': String(upload.size), ...checksum(upload.sha256) },
          accepted: [200],
          patience: limits.stored,
          signal: guarded,
        });
        if (answer.kind !== 'ok') return answer;
        drop(answer.value);
        return stored(undefined);
      } finally {
        // A request that is not sent reads nothing of it, and a file that nobody closes ends the process.
        body.destroy();
      }
    });
  }

  /**
   * Opens an object from the offset `from` on. Resolves to undefined if there is none. The body ends with an
   * error as soon as the store is known to be away.
   */
  async get(
    key: string,
    from: number,
    signal: AbortSignal,
  ): Promise<ObjectResult<ObjectContent | undefined>> {
    return this.#health.guard(signal, async (guarded) => {
      const answer = await this.#requests.sendAgain({
        operation: 'get',
        method: 'GET',
        key,
        headers: from > 0 ? { range: `bytes=${from}-` } : {},
        accepted: [from > 0 ? 206 : 200, 404],
        signal: guarded,
      });
      if (answer.kind !== 'ok') return answer;
      const { statusCode, headers, body } = answer.value;
      // It may break off before anybody reads it. Whoever reads it later gets the error too.
      body.on('error', () => {});
      if (statusCode === 404) {
        drop(answer.value);
        return stored(undefined);
      }
      const size = sizeOf(headers, from);
      if (size !== undefined) return stored({ size, body });
      drop(answer.value);
      return storeUnavailable(`${this.#requests.host} names no size of an object`);
    });
  }

  /** Resolves to the size of an object; undefined if there is none. */
  async size(key: string, signal: AbortSignal): Promise<ObjectResult<number | undefined>> {
    return this.#health.guard(signal, (guarded) => this.#parts.size(key, guarded));
  }

  /** Removes an object, which need not exist. */
  async remove(key: string, signal: AbortSignal): Promise<ObjectResult<void>> {
    return this.#health.guard(signal, async (guarded) => {
      const answer = await this.#requests.sendAgain({
        operation: 'remove',
        method: 'DELETE',
        key,
        accepted: [200, 204, 404],
        signal: guarded,
      });
      if (answer.kind !== 'ok') return answer;
      drop(answer.value);
      return stored(undefined);
    });
  }

  /** Lists up to 1,000 keys that begin with `prefix`, in order, from the first one after `after` on. */
  async list(prefix: string, after: string, signal: AbortSignal): Promise<ObjectResult<ListedObjects>> {
    return this.#health.guard(signal, async (guarded) => {
      const query = { 'list-type': '2', prefix, 'max-keys': '1000', ...(after && { 'start-after': after }) };
      const answer = await this.#requests.sendAgain({
        operation: 'list',
        method: 'GET',
        query,
        accepted: [200],
        signal: guarded,
      });
      if (answer.kind !== 'ok') return answer;
      const { headers } = answer.value;
      const now = Date.parse(String(headers.date));
      try {
        return stored({ ...parseListPage(await readText(answer.value, MAX_PAGE)), now });
      } catch (error) {
        return storeUnavailable(`${this.#requests.host} breaks off: ${String(error)}`);
      }
    });
  }

  /** Ends the uploads of parts below `prefix` that began before `before` and were never completed. */
  async abortUploads(prefix: string, before: number, signal: AbortSignal): Promise<ObjectResult<number>> {
    return this.#health.guard(signal, (guarded) => this.#parts.abortAll(prefix, before, guarded));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#health[Symbol.asyncDispose]();
    await this.#requests[Symbol.asyncDispose]();
  }
}

function checksum(sha256: string | undefined): Record<string, string> {
  return sha256 === undefined
    ? {}
    : { 'x-amz-checksum-sha256': Buffer.from(sha256, 'hex').toString('base64') };
}

/** Returns the size of the whole object: `Content-Range` ends with it. */
function sizeOf(headers: ReceivedHeaders, from: number): number | undefined {
  const text =
    from > 0 ? String(headers['content-range']).split('/').at(-1) : String(headers['content-length']);
  const size = Number(text);
  return Number.isSafeInteger(size) ? size : undefined;
}

function parseListPage(xml: string): Pick<ListedObjects, 'objects' | 'isMore'> {
  const objects = [...elements(xml, 'Contents')].map((content) => ({
    key: elementText(content, 'Key') ?? '',
    modifiedAt: Date.parse(elementText(content, 'LastModified') ?? ''),
  }));
  return { objects, isMore: elementText(xml, 'IsTruncated') === 'true' };
}
