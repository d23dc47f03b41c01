import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { type ClientRequest, request } from 'node:http';
import type { CoreOptions } from '../../src/core/core.ts';
import type { HostedOptions } from '../../src/core/hosted/hosted.ts';
import { UPLOAD_LIMITS, type UploadLimits } from '../../src/core/hosted/limits.ts';
import type { NamespaceRules } from '../../src/core/hosted/namespace.ts';
import type { FakeHub } from './fake-hub.ts';
import type { TestResponse } from './http.ts';
import { TestCore } from './test-core.ts';

export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';

export function digestOf(bytes: string | Uint8Array, algorithm = 'sha256'): string {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
}

function hostedOptions(
  directory: string,
  rules: Partial<NamespaceRules>,
  options: Partial<HostedOptions>,
): HostedOptions {
  return {
    directory: `${directory}/hosted`,
    namespaces: [{ name: 'acme', immutableTags: [], ...rules }],
    ...options,
  };
}

export interface HostedRequest {
  readonly method?: string;
  readonly repository?: string;
  /** The subject whose upload it is. */
  readonly subject?: string;
  readonly body?: string | Uint8Array;
  /** True if the length of the body is not announced. */
  readonly isStreamed?: boolean;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A core in this process that hosts `acme/**`. Without a hub, nobody answers as its upstream. */
export class HostedCore implements AsyncDisposable {
  readonly core: TestCore;

  readonly #rules: Partial<NamespaceRules>;

  static async start(
    rules: Partial<NamespaceRules> = {},
    limits: Partial<UploadLimits> = {},
    hub: Pick<FakeHub, 'url'> = { url: new URL('http://127.0.0.1:1') },
    options: Partial<CoreOptions> = {},
  ): Promise<HostedCore> {
    const core = await TestCore.start(hub, (directory) => ({
      ...options,
      hosted: hostedOptions(directory, rules, { limits: { ...UPLOAD_LIMITS, ...limits } }),
    }));
    return new HostedCore(core, rules);
  }

  private constructor(core: TestCore, rules: Partial<NamespaceRules>) {
    this.core = core;
    this.#rules = rules;
  }

  /** Stops the core, and starts it again on the same content with other options. */
  async restart(options: Partial<HostedOptions> = {}): Promise<void> {
    await this.core.restart({ hosted: hostedOptions(this.core.directory, this.#rules, options) });
  }

  get directory(): string {
    return `${this.core.directory}/hosted`;
  }

  /** Sends a write as a gateway does. */
  write(
    method: string,
    resource: string,
    { repository = 'acme/app', subject = 'user:ana', body, isStreamed, headers }: HostedRequest = {},
  ): Promise<TestResponse> {
    return this.core.send({
      method,
      path: `/hosted/${resource}`,
      headers: {
        ...{ 'hubgate-upstream': 'hosted', 'hubgate-path': repository },
        ...{ 'hubgate-subject-key': subject, 'hubgate-subject': subject, 'hubgate-credential': 'c1' },
        ...(body !== undefined && !isStreamed && { 'content-length': String(Buffer.byteLength(body)) }),
        ...(isStreamed && { 'transfer-encoding': 'chunked' }),
        ...headers,
      },
      ...(body !== undefined && { send: body }),
    });
  }

  /** Begins a write of `user:ana`. The caller sends its body, or does not. */
  open(method: string, resource: string, headers: Readonly<Record<string, string>>): ClientRequest {
    const begun = request({
      ...{ socketPath: this.core.socket, method, path: `/hosted/${resource}` },
      headers: {
        ...{ 'hubgate-upstream': 'hosted', 'hubgate-path': 'acme/app', 'hubgate-subject-key': 'user:ana' },
        ...headers,
      },
    });
    begun.flushHeaders();
    return begun;
  }

  /** Sends a pull as a gateway does. */
  read(
    resource: string,
    { repository = 'acme/app', method = 'GET' }: HostedRequest = {},
  ): Promise<TestResponse> {
    const headers = { 'hubgate-upstream': 'hosted', 'hubgate-path': repository, 'hubgate-grant': 'private' };
    return this.core.send({ method, path: `/pull/${resource}`, headers });
  }

  /** Begins an upload, and returns its resource. */
  async begin(request: HostedRequest = {}): Promise<string> {
    const begun = await this.write('POST', 'blobs/uploads/', { body: '', ...request });
    assert.equal(begun.status, 202, begun.body.toString());
    return String(begun.headers['hubgate-location']);
  }

  /** Pushes a blob, and returns its digest. */
  async pushBlob(bytes: string | Uint8Array, request: HostedRequest = {}): Promise<string> {
    const digest = digestOf(bytes);
    const upload = await this.begin(request);
    const put = await this.write('PUT', `${upload}?digest=${digest}`, { body: bytes, ...request });
    assert.equal(put.status, 201, put.body.toString());
    return digest;
  }

  /** Pushes a manifest, and returns the answer. */
  pushManifest(
    reference: string,
    manifest: object | string,
    request: HostedRequest = {},
  ): Promise<TestResponse> {
    const body = typeof manifest === 'string' ? manifest : JSON.stringify(manifest);
    const { mediaType = OCI_MANIFEST } = JSON.parse(body);
    return this.write('PUT', `manifests/${reference}`, {
      ...{ body, ...request },
      headers: { 'content-type': mediaType, ...request.headers },
    });
  }

  /** Pushes an image with one layer, and returns its manifest. */
  async pushImage(
    tag: string,
    layer: string,
    request: HostedRequest = {},
    more: object = {},
  ): Promise<string> {
    const config = await this.pushBlob('{}', request);
    const digest = await this.pushBlob(layer, request);
    const manifest = imageOf(config, digest, layer.length, more);
    const put = await this.pushManifest(tag, manifest, request);
    assert.equal(put.status, 201, put.body.toString());
    return manifest;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.core[Symbol.asyncDispose]();
  }
}

export function imageOf(config: string, layer: string, size: number, more: object = {}): string {
  return JSON.stringify({
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: config, size: 2 },
    layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: layer, size }],
    ...more,
  });
}

/** Returns the code and the words of a refusal. */
export function errorOf({ body }: TestResponse): { readonly code: string; readonly message: string } {
  return JSON.parse(body.toString()).errors[0];
}
