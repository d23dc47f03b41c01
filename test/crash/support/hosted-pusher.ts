import { createHash } from 'node:crypto';
import { ask, type TestResponse } from '../../support/http.ts';
import type { PushedState, PushedValue } from './pushed-state.ts';
import type { Random } from './random.ts';
import type { Tally } from './tally.ts';

export interface PusherOptions {
  readonly socket: string;
  /** The path of its repository. */
  readonly repository: string;
  readonly state: PushedState;
  /** The bytes of everything that was pushed, by digest. */
  readonly contents: Map<string, Buffer>;
  readonly random: Random;
  readonly tally: Tally;
}

/** The number of different blobs, so that the same one is pushed, deleted and pushed again. */
const BLOBS = 12;
const TAGS = 5;
const SMALLEST = 512;
const LARGEST = 256 * 1024;
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

/** Thrown if the core refuses what it must take. */
class WronglyRefused extends Error {
  override readonly name = 'WronglyRefused';
}

/** One client, which pushes, moves tags and deletes, one request after the other, until it is stopped. */
export class HostedPusher {
  readonly ended: Promise<void>;
  readonly #options: PusherOptions;
  readonly #blobs: readonly Buffer[];
  #isStopped = false;

  constructor(options: PusherOptions) {
    this.#options = options;
    const { random } = options;
    this.#blobs = Array.from({ length: BLOBS }, () => random.bytes(random.size(SMALLEST, LARGEST)));
    this.ended = this.#work();
  }

  stop(): void {
    this.#isStopped = true;
  }

  async #work(): Promise<void> {
    const { random, tally } = this.#options;
    try {
      while (!this.#isStopped && tally.faults.length === 0) {
        const chance = random.next();
        if (chance < 0.6) await this.#pushImage();
        else if (chance < 0.75) await this.#deleteBlob();
        else if (chance < 0.9) await this.#deleteTag();
        else await this.#deleteDigest();
      }
    } catch (error) {
      // A request of a core that is killed fails.
      if (!this.#isStopped || error instanceof WronglyRefused) tally.fault(String((error as Error).stack));
    }
  }

  async #pushImage(): Promise<void> {
    const { random, contents, repository } = this.#options;
    const [config, ...layers] = random.shuffle(this.#blobs).slice(0, 1 + random.below(3) + 1);
    if (config === undefined) return;
    for (const blob of [config, ...layers]) await this.#pushBlob(blob);
    const manifest = Buffer.from(
      JSON.stringify({
        ...{ schemaVersion: 2, mediaType: MANIFEST },
        config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...described(config) },
        layers: layers.map((layer) => ({
          mediaType: 'application/vnd.oci.image.layer.v1.tar',
          ...described(layer),
        })),
      }),
    );
    const digest = digestOf(manifest);
    contents.set(digest, manifest);
    const tag = `t${random.below(TAGS)}`;
    const changes = new Map([
      [`tag ${repository} ${tag}`, digest],
      [`manifest ${repository} ${digest}`, digest],
    ]);
    await this.#change(changes, 201, 'PUT', `manifests/${tag}`, manifest, { 'content-type': MANIFEST });
  }

  async #pushBlob(blob: Buffer): Promise<void> {
    const { contents, repository, state } = this.#options;
    const digest = digestOf(blob);
    contents.set(digest, blob);
    if (state.last(`blob ${repository} ${digest}`) !== null) return;
    const begun = await this.#send('POST', 'blobs/uploads/', Buffer.alloc(0));
    const upload = begun.headers['hubgate-location'];
    const changes = new Map([[`blob ${repository} ${digest}`, digest]]);
    await this.#change(changes, 201, 'PUT', `${upload}?digest=${digest}`, blob);
  }

  /** Deletes a blob that no manifest needs. One that is needed is refused, which changes nothing. */
  async #deleteBlob(): Promise<void> {
    const { random, repository, state, tally } = this.#options;
    const digest = digestOf(random.pick(this.#blobs));
    const key = `blob ${repository} ${digest}`;
    if (state.last(key) === null) return;
    const before = state.last(key);
    const acknowledge = state.ask(new Map([[key, null]]));
    const { status } = await this.#send('DELETE', `blobs/${digest}`);
    if (status === 202) {
      acknowledge();
      tally.count('deletes answered');
    } else if (status === 403) state.ask(new Map([[key, before]]))();
    else throw new WronglyRefused(`DELETE of ${digest}: ${status}`);
  }

  async #deleteTag(): Promise<void> {
    const { random, repository, state } = this.#options;
    const tag = `t${random.below(TAGS)}`;
    const key = `tag ${repository} ${tag}`;
    if (state.last(key) !== null)
      await this.#change(new Map([[key, null]]), 202, 'DELETE', `manifests/${tag}`);
  }

  async #deleteDigest(): Promise<void> {
    const { random, repository, state } = this.#options;
    const digest = state.last(`tag ${repository} t${random.below(TAGS)}`);
    if (digest === null) return;
    const changes = new Map<string, PushedValue>([[`manifest ${repository} ${digest}`, null]]);
    for (let at = 0; at < TAGS; at++) {
      const key = `tag ${repository} t${at}`;
      if (state.last(key) === digest) changes.set(key, null);
    }
    await this.#change(changes, 202, 'DELETE', `manifests/${digest}`);
  }

  async #change(
    changes: ReadonlyMap<string, PushedValue>,
    expected: number,
    method: string,
    resource: string,
    body?: Buffer,
    headers?: Readonly<Record<string, string>>,
  ): Promise<void> {
    const { state, tally } = this.#options;
    const acknowledge = state.ask(changes);
    const answer = await this.#send(method, resource, body, headers);
    if (answer.status !== expected)
      throw new WronglyRefused(`${method} ${resource}: ${answer.status} ${answer.body}`);
    acknowledge();
    tally.count(method === 'DELETE' ? 'deletes answered' : 'pushes answered');
  }

  async #send(
    method: string,
    resource: string,
    body?: Buffer,
    headers?: Readonly<Record<string, string>>,
  ): Promise<TestResponse> {
    const { socket, repository } = this.#options;
    return ask({
      ...{ socketPath: socket, method, path: `/hosted/${resource}`, ...(body && { send: body }) },
      headers: {
        ...{ 'hubgate-upstream': 'hosted', 'hubgate-path': repository, 'hubgate-subject-key': 'user:ana' },
        ...(body && { 'content-length': String(body.length) }),
        ...headers,
      },
    });
  }
}

function described(bytes: Buffer): { readonly digest: string; readonly size: number } {
  return { digest: digestOf(bytes), size: bytes.length };
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
