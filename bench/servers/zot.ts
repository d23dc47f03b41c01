/** zot, as a registry with the content: each repository is an OCI image layout. */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { startProcess } from '../../test/e2e/support/process.ts';
import { SERVICE } from '../../test/e2e/support/token-service.ts';
import { freePort } from '../../test/support/free-port.ts';
import { type BenchImage, fileOf, linkTo, REPOSITORY } from '../content.ts';
import { tokenOf } from './peer-token.ts';
import { inPeers, missingProgram } from './peers.ts';
import { answers } from './ready.ts';
import type { ServerKind, StartOptions } from './server.ts';

export const ZOT: ServerKind = {
  name: 'zot',
  about: 'a current zot, from PEERS_DIR',
  // Its `sync` fetches whole images when a manifest is requested, so a blob that is requested first is not
  // found.
  mirrors: false,
  missing: () => missingProgram(inPeers('zot')),
  start: startZot,
};

async function startZot(options: StartOptions) {
  const { directory, tokens, images, contentDirectory } = options;
  const port = await freePort();
  const at = (file: string) => path.join(directory, file);
  await writeFile(at('tokens.crt'), tokens.certificate);
  await writeFile(at('config.json'), JSON.stringify(configuration(options, port)));
  await putInto(path.join(at('data'), REPOSITORY), contentDirectory, images ?? []);
  const running = await startProcess(inPeers('zot') ?? '', ['serve', at('config.json')], {
    ready: () => answers(port),
  });
  return {
    name: ZOT.name,
    pid: running.pid,
    port,
    authorization: () => tokenOf(tokens.url),
    [Symbol.asyncDispose]: () => running.stop(),
  };
}

/**
 * Writes the configuration without what would slow it down: it logs no requests, collects no garbage and does
 * not look for duplicates.
 */
function configuration({ directory, tls, tokens }: StartOptions, port: number): object {
  const at = (file: string) => path.join(directory, file);
  const bearer = { realm: `${tokens.url.origin}/token`, service: SERVICE, cert: at('tokens.crt') };
  return {
    distSpecVersion: '1.1.1',
    storage: { rootDirectory: at('data'), dedupe: false, gc: false },
    http: {
      address: '127.0.0.1',
      port: String(port),
      tls: { cert: tls.certificate, key: tls.key },
      auth: { bearer },
    },
    log: { level: 'error', output: '/dev/null' },
  };
}

/** Puts an image into the storage as a push leaves it: an image layout (image-spec, image-layout.md). */
async function putInto(repository: string, contentDirectory: string, images: readonly BenchImage[]) {
  await mkdir(path.join(repository, 'blobs/sha256'), { recursive: true });
  const manifests = images.map(({ tag, image: { mediaType, digest, bytes } }) => {
    const annotations = { 'org.opencontainers.image.ref.name': tag };
    return { mediaType, digest, size: bytes.length, annotations };
  });
  for (const { image } of images) {
    for (const digest of [image.digest, ...image.blobs.keys()]) {
      const target = path.join(repository, 'blobs/sha256', digest.slice('sha256:'.length));
      await linkTo(fileOf(contentDirectory, digest), target);
    }
  }
  await writeFile(path.join(repository, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  await writeFile(path.join(repository, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
}
