/** Objects that are too large for one request are sent in parts, each of which can be repeated. */
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { MOST_PARTS, type ObjectLimits } from './limits.ts';
import { drop, type ObjectRequest, type ObjectRequests, readText } from './object-requests.ts';
import { type ObjectResult, stored, storeUnavailable } from './object-result.ts';
import { elements, elementText, formatParts } from './object-xml.ts';

const MAX_ANSWER = 4 * 2 ** 20;
/** The times that a part is sent. */
const TRIES = 3;

/** Bytes that were verified, in a local file. */
export interface ObjectUpload {
  readonly size: number;
  /**
   * The hash of the bytes in hexadecimal digits, which the store compares; absent if the content is known by
   * another hash.
   */
  readonly sha256?: string | undefined;
  /** Opens the bytes from the first one on. It is called once. */
  readonly open: () => Promise<Readable>;
}

export class ObjectParts {
  readonly #requests: ObjectRequests;
  readonly #limits: ObjectLimits;

  constructor(requests: ObjectRequests, limits: ObjectLimits) {
    this.#requests = requests;
    this.#limits = limits;
  }

  /** Puts an object whole, or not at all. */
  async put(key: string, upload: ObjectUpload, signal: AbortSignal): Promise<ObjectResult<void>> {
    const begun = await this.#ask({ method: 'POST', key, query: { uploads: '' }, signal });
    if (begun.kind !== 'ok') return begun;
    const uploadId = elementText(begun.value, 'UploadId');
    if (uploadId === undefined) return storeUnavailable(`${this.#requests.host} begins no upload`);
    const done = await this.#putParts(key, uploadId, upload, signal);
    // The store keeps the parts of an upload that is not completed, and charges for them.
    if (done.kind !== 'ok') await this.#abort(key, uploadId);
    return done;
  }

  /** Resolves to the size of an object; undefined if there is none. */
  async size(key: string, signal: AbortSignal): Promise<ObjectResult<number | undefined>> {
    const answer = await this.#requests.sendAgain({
      operation: 'head',
      method: 'HEAD',
      key,
      accepted: [200, 404],
      signal,
    });
    if (answer.kind !== 'ok') return answer;
    drop(answer.value);
    const { statusCode, headers } = answer.value;
    return stored(statusCode === 404 ? undefined : Number(headers['content-length']));
  }

  async abortAll(prefix: string, before: number, signal: AbortSignal): Promise<ObjectResult<number>> {
    const listed = await this.#ask({ method: 'GET', query: { uploads: '', prefix }, signal });
    if (listed.kind !== 'ok') return listed;
    let aborted = 0;
    for (const upload of elements(listed.value, 'Upload')) {
      const [key, uploadId, initiated] = ['Key', 'UploadId', 'Initiated'].map((name) =>
        elementText(upload, name),
      );
      if (key === undefined || uploadId === undefined || !key.startsWith(prefix)) continue;
      if (!(Date.parse(initiated ?? '') < before)) continue;
      await this.#abort(key, uploadId);
      aborted++;
    }
    return stored(aborted);
  }

  async #putParts(
    key: string,
    uploadId: string,
    upload: ObjectUpload,
    signal: AbortSignal,
  ): Promise<ObjectResult<void>> {
    const size = Math.max(this.#limits.part, Math.ceil(upload.size / MOST_PARTS));
    const sending = new Set<Promise<void>>();
    const tags: string[] = [];
    let failure: ObjectResult<void> | undefined;
    let number = 0;
    for await (const bytes of partsOf(await upload.open(), size)) {
      const index = number++;
      const sent = this.#putPart(key, { uploadId, partNumber: String(number) }, bytes, signal).then(
        (result) => {
          if (result.kind === 'ok') tags[index] = result.value;
          else failure ??= result;
          sending.delete(sent);
        },
      );
      sending.add(sent);
      if (sending.size >= this.#limits.partsAtOnce) await Promise.race(sending);
      if (failure !== undefined) break;
    }
    await Promise.all(sending);
    return failure ?? (await this.#complete(key, uploadId, tags, upload.size, signal));
  }

  async #putPart(
    key: string,
    query: { readonly uploadId: string; readonly partNumber: string },
    body: Uint8Array,
    signal: AbortSignal,
  ): Promise<ObjectResult<string>> {
    const sha256 = createHash('sha256').update(body).digest('hex');
    for (let attempt = 1; ; attempt++) {
      const answer = await this.#requests.send({
        operation: 'put',
        method: 'PUT',
        key,
        query,
        body,
        sha256,
        accepted: [200],
        patience: this.#limits.stored,
        signal,
      });
      if (answer.kind === 'ok') {
        drop(answer.value);
        return stored(String(answer.value.headers.etag));
      }
      if (attempt === TRIES || signal.aborted) return answer;
    }
  }

  /** A store may answer 200 before it knows whether it succeeds, so the object is looked at. */
  async #complete(
    key: string,
    uploadId: string,
    tags: readonly string[],
    size: number,
    signal: AbortSignal,
  ): Promise<ObjectResult<void>> {
    const patience = this.#limits.stored;
    const body = formatParts(tags);
    const answer = await this.#ask({ method: 'POST', key, query: { uploadId }, body, patience, signal });
    if (answer.kind !== 'ok') return answer;
    const code = elementText(answer.value, 'Code');
    if (code !== undefined) return storeUnavailable(`${this.#requests.host} answers ${code}`);
    const found = await this.size(key, signal);
    if (found.kind !== 'ok') return found;
    if (found.value === size) return stored(undefined);
    return storeUnavailable(`${this.#requests.host} has ${found.value} bytes of ${size}`);
  }

  async #abort(key: string, uploadId: string): Promise<void> {
    const signal = AbortSignal.timeout(this.#limits.answer);
    const request = { operation: 'put', method: 'DELETE', key, query: { uploadId } } as const;
    const answer = await this.#requests.send({ ...request, accepted: [204, 200, 404], signal });
    if (answer.kind === 'ok') drop(answer.value);
  }

  async #ask(request: Omit<ObjectRequest, 'operation' | 'accepted'>): Promise<ObjectResult<string>> {
    const answer = await this.#requests.sendAgain({ ...request, operation: 'put', accepted: [200] });
    if (answer.kind !== 'ok') return answer;
    try {
      return stored(await readText(answer.value, MAX_ANSWER));
    } catch (error) {
      return storeUnavailable(`${this.#requests.host} breaks off: ${String(error)}`);
    }
  }
}

/** Yields the bytes of a stream in parts of one size, except the last one. */
async function* partsOf(stream: Readable, size: number): AsyncGenerator<Buffer, void> {
  let pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of stream as AsyncIterable<Buffer>) {
    for (let at = 0; at < piece.length; ) {
      const taken = piece.subarray(at, at + size - length);
      pieces.push(taken);
      length += taken.length;
      at += taken.length;
      if (length < size) continue;
      yield Buffer.concat(pieces);
      [pieces, length] = [[], 0];
    }
  }
  if (length > 0) yield Buffer.concat(pieces);
}
