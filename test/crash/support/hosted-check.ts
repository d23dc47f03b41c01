import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { ask } from '../../support/http.ts';
import type { AllowedValues, PushedValue } from './pushed-state.ts';
import type { Tally } from './tally.ts';

export interface HostedCheckOptions {
  readonly socket: string;
  /** The directory of the hosted repositories, as this process sees it. */
  readonly directory: string;
  readonly contents: ReadonlyMap<string, Buffer>;
  readonly tally: Tally;
}

/**
 * Compares what the core serves after a crash with what it may serve, counts what is lost and what is
 * corrupt, and returns what was found.
 */
export async function checkHosted(
  options: HostedCheckOptions,
  allowed: AllowedValues,
): Promise<ReadonlyMap<string, PushedValue>> {
  const { tally } = options;
  const found = new Map<string, PushedValue>();
  for (const [key, values] of allowed) {
    const [kind = '', repository = '', name = ''] = key.split(' ');
    const value =
      kind === 'blob' ? await blobOf(options, repository, name) : await manifestOf(options, repository, name);
    found.set(key, value === 'corrupt' ? null : value);
    tally.count('hosted content checked');
    if (value === 'corrupt') tally.count('corrupt');
    else if (!values.includes(value)) tally.count('lost');
  }
  return found;
}

/** Resolves to the digest of a manifest whose bytes and blobs are all right; null if there is none. */
async function manifestOf(
  options: HostedCheckOptions,
  repository: string,
  reference: string,
): Promise<PushedValue> {
  const { status, headers, body } = await pull(options, repository, `manifests/${reference}`);
  if (status === 404) return null;
  const digest = String(headers['docker-content-digest']);
  if (status !== 200 || !body.equals(options.contents.get(digest) ?? Buffer.alloc(0))) return 'corrupt';
  const { config, layers } = JSON.parse(body.toString());
  for (const child of [config, ...layers]) {
    if ((await blobOf(options, repository, child.digest)) !== child.digest) return 'corrupt';
  }
  return digest;
}

async function blobOf(options: HostedCheckOptions, repository: string, digest: string): Promise<PushedValue> {
  const { status, body } = await pull(options, repository, `blobs/${digest}`);
  if (status === 404) return null;
  if (status !== 200) return 'corrupt';
  const { file } = JSON.parse(body.toString());
  const bytes = await readFile(path.join(options.directory, file)).catch(() => undefined);
  return bytes?.equals(options.contents.get(digest) ?? Buffer.alloc(0)) ? digest : 'corrupt';
}

function pull({ socket }: HostedCheckOptions, repository: string, resource: string) {
  const headers = { 'hubgate-upstream': 'hosted', 'hubgate-path': repository, 'hubgate-grant': 'private' };
  return ask({ socketPath: socket, path: `/pull/${resource}`, headers });
}
