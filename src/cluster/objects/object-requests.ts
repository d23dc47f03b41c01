/** Sends signed requests to an S3-compatible object store, each with deadlines. */
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { AwsV4Signer } from 'aws4fetch';
import { connectByProxy } from '../../platform/egress/connect-by-proxy.ts';
import type { EgressOptions } from '../../platform/egress/proxy-rules.ts';
import { errorCode, messageOf } from '../../platform/reason.ts';
import { DeadlineError, unlessAborted } from '../../platform/scheduling/deadline.ts';
import { trusting } from '../../platform/trusted-authorities.ts';
import { buildConnector, type Dispatcher, Pool } from '../../platform/undici.ts';
import type { ObjectLimits } from './limits.ts';
import type { ObjectKeys } from './object-keys.ts';
import { type ObjectResult, type ObjectStoreUnavailable, stored, storeUnavailable } from './object-result.ts';
import { elementText } from './object-xml.ts';

export interface ObjectRequestsOptions {
  /** The origin of the store. */
  readonly endpoint: string;
  readonly bucket: string;
  readonly region: string;
  /** Resolves to the keys that hold now. */
  readonly keys: () => Promise<ObjectKeys>;
  readonly limits: ObjectLimits;
  /** The way out of the network. A proxy is used for https only. */
  readonly egress?: EgressOptions | undefined;
  readonly observe?: ObserveObjectRequest | undefined;
}

export type ObjectOperation = 'put' | 'get' | 'head' | 'remove' | 'list' | 'probe';

/** Called with each answer: the status, or `none` if there is none. */
export type ObserveObjectRequest = (operation: ObjectOperation, status: number | 'none') => void;

export interface ObjectRequest {
  readonly operation: ObjectOperation;
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  /** The key of an object; empty for the bucket itself. */
  readonly key?: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Readable | Uint8Array | string;
  /** The SHA-256 of the body in hexadecimal digits. Absent: it is computed, or a stream is not signed. */
  readonly sha256?: string | undefined;
  /** The statuses that are an answer. Any other one means that the store cannot be used. */
  readonly accepted: readonly number[];
  readonly signal: AbortSignal;
  /** The time-out of the head of the answer, if it is not the usual one. */
  readonly patience?: number;
}

export type ObjectAnswer = Dispatcher.ResponseData;

const UNSIGNED = 'UNSIGNED-PAYLOAD';
/** The characters of an error's text that are read. */
const MAX_ERROR = 16 * 1024;
const NOTHING = createHash('sha256').digest('hex');

export class ObjectRequests implements AsyncDisposable {
  readonly #options: ObjectRequestsOptions;
  readonly #pool: Pool;
  readonly #base: string;
  /** The keys of signatures, which hold for a day. */
  readonly #cache = new Map<string, ArrayBuffer>();

  constructor(options: ObjectRequestsOptions) {
    this.#options = options;
    const { endpoint, bucket, limits, egress } = options;
    const { hostname, protocol } = new URL(endpoint);
    this.#base = hostname.startsWith(`${bucket}.`) ? endpoint : `${endpoint}/${bucket}`;
    const authorities = egress?.authorities ?? [];
    const secure = {
      timeout: limits.connect,
      ...(authorities.length > 0 && { secureContext: trusting(authorities) }),
    };
    const direct = buildConnector({ ...secure, allowH2: false });
    this.#pool = new Pool(endpoint, {
      connections: limits.connections,
      pipelining: 1,
      bodyTimeout: limits.idle,
      connect: protocol === 'https:' ? connectByProxy({ egress, direct, ...secure, allowH2: false }) : direct,
    });
  }

  /** The host of the store, for messages. */
  get host(): string {
    return new URL(this.#options.endpoint).host;
  }

  /** Sends a request whose body can be sent again, and repeats it once if it fails. */
  async sendAgain(request: ObjectRequest): Promise<ObjectResult<ObjectAnswer>> {
    const first = await this.send(request);
    if (first.kind === 'ok' || request.signal.aborted) return first;
    await delay(this.#options.limits.repeatAfter, undefined, { signal: request.signal }).catch(() => {});
    return this.send(request);
  }

  async send(request: ObjectRequest): Promise<ObjectResult<ObjectAnswer>> {
    const { limits, observe } = this.#options;
    const { signal, operation } = request;
    if (signal.aborted) return storeUnavailable(messageOf(signal.reason));
    if (this.#pool.stats.queued >= limits.waiting)
      return storeUnavailable(`too many requests wait for ${this.host}`);
    let answer: ObjectAnswer;
    try {
      answer = await unlessAborted(this.#dispatch(request), signal, (late) => drop(late));
    } catch (error) {
      observe?.(operation, 'none');
      destroyBody(request);
      return this.#failed(error);
    }
    observe?.(operation, answer.statusCode);
    return request.accepted.includes(answer.statusCode) ? stored(answer) : this.#refused(answer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.destroy();
  }

  async #dispatch(request: ObjectRequest): Promise<ObjectAnswer> {
    const { region, keys, limits } = this.#options;
    const { method, key = '', query = {}, headers = {}, body, signal, patience = limits.answer } = request;
    const url = new URL(key === '' ? this.#base : `${this.#base}/${key}`);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    const signer = new AwsV4Signer({
      ...(await keys()),
      service: 's3',
      region,
      method,
      url: url.href,
      headers: { ...headers, 'x-amz-content-sha256': sha256Of(request) },
      cache: this.#cache,
    });
    const signed = await signer.sign();
    return this.#pool.request({
      method,
      // The spelling that was signed.
      path: `${url.pathname}${signer.encodedSearch === '' ? '' : `?${signer.encodedSearch}`}`,
      headers: Object.fromEntries(signed.headers),
      headersTimeout: patience,
      signal,
      ...(body !== undefined && { body }),
    });
  }

  #failed(error: unknown): ObjectStoreUnavailable {
    const code = errorCode(error);
    if (error instanceof DeadlineError) return storeUnavailable(`${this.host} does not answer in time`);
    const why = code?.startsWith('UND_ERR_') || code === undefined ? messageOf(error) : code;
    return storeUnavailable(`${this.host}: ${why}`);
  }

  async #refused(answer: ObjectAnswer): Promise<ObjectStoreUnavailable> {
    const text = await readText(answer, MAX_ERROR).catch(() => '');
    const code = elementText(text, 'Code');
    return storeUnavailable(`${this.host} answers ${answer.statusCode}${code ? ` ${code}` : ''}`);
  }
}

function sha256Of({ body, sha256 }: ObjectRequest): string {
  if (sha256 !== undefined) return sha256;
  if (body === undefined) return NOTHING;
  if (typeof body === 'string' || body instanceof Uint8Array)
    return createHash('sha256').update(body).digest('hex');
  return UNSIGNED;
}

/** Reads the body of an answer that is short. */
export async function readText({ body }: ObjectAnswer, most: number): Promise<string> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of body) {
    pieces.push(piece);
    size += piece.length;
    if (size > most) throw new Error('the answer is too long');
  }
  return Buffer.concat(pieces).toString('utf8');
}

/** Drops an answer whose body nobody wants. */
export function drop({ body }: ObjectAnswer): void {
  body.dump({ limit: 64 * 1024 }).catch(() => {});
}

/** Closes what should have been sent. */
function destroyBody({ body }: ObjectRequest): void {
  if (body !== undefined && typeof body !== 'string' && !(body instanceof Uint8Array))
    body.on('error', () => {}).destroy();
}
