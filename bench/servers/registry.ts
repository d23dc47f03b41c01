/** CNCF distribution in two generations, as a registry with the content or as a pull-through cache. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { run, startProcess } from '../../test/e2e/support/process.ts';
import { ISSUER, SERVICE } from '../../test/e2e/support/token-service.ts';
import { freePort } from '../../test/support/free-port.ts';
import { ACCOUNT } from '../../test/support/test-core.ts';
import { type BenchImage, fileOf, linkTo, REPOSITORY } from '../content.ts';
import { tokenOf } from './peer-token.ts';
import { inPeers, missingProgram } from './peers.ts';
import { answers } from './ready.ts';
import type { ServerKind, ServerName, StartOptions } from './server.ts';

export const DOCKER_REGISTRY = registryKind(
  'docker-registry',
  'Debian’s docker-registry',
  () => 'docker-registry',
);
export const REGISTRY_3 = registryKind('registry3', 'a current registry, from PEERS_DIR', () =>
  inPeers('registry'),
);

function registryKind(name: ServerName, about: string, program: () => string | undefined): ServerKind {
  return {
    name,
    about,
    mirrors: true,
    missing: () => missingProgram(program()),
    start: (options) => startRegistry(name, program() ?? '', options),
  };
}

async function startRegistry(name: ServerName, program: string, options: StartOptions) {
  const { directory, tokens, images, contentDirectory } = options;
  const port = await freePort();
  const at = (file: string) => path.join(directory, file);
  await writeFile(at('tokens.crt'), tokens.certificate);
  await writeFile(at('config.yml'), JSON.stringify(configuration(options, port)));
  for (const image of images ?? []) await putInto(at('data'), contentDirectory, image);
  const running = await startProcess(program, ['serve', at('config.yml')], {
    env: { OTEL_TRACES_EXPORTER: 'none' },
    ready: () => answers(port),
  });
  return {
    name,
    pid: running.pid,
    port,
    authorization: (repository?: string) => tokenOf(tokens.url, repository),
    [Symbol.asyncDispose]: () => running.stop(),
  };
}

/** Writes the configuration of its image without what would slow it down: it logs no requests. */
function configuration({ directory, tls, tokens, upstream, images }: StartOptions, port: number): object {
  const at = (file: string) => path.join(directory, file);
  const trusts = { issuer: ISSUER, rootcertbundle: at('tokens.crt') };
  const { username, password } = ACCOUNT;
  return {
    version: '0.1',
    log: { level: 'error', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: at('data') }, cache: { blobdescriptor: 'inmemory' } },
    http: { addr: `127.0.0.1:${port}`, tls: { certificate: tls.certificate, key: tls.key } },
    auth: { token: { realm: `${tokens.url.origin}/token`, service: SERVICE, ...trusts } },
    ...(images === undefined && { proxy: { remoteurl: upstream.frontUrl.origin, username, password } }),
  };
}

/** Puts an image into the storage as a push leaves it (storage/paths.go of distribution). */
async function putInto(root: string, contentDirectory: string, { tag, image }: BenchImage): Promise<void> {
  const data = path.join(root, 'docker/registry/v2');
  const repository = path.join(data, 'repositories', REPOSITORY);
  const hex = (digest: string) => digest.slice('sha256:'.length);
  for (const digest of [image.digest, ...image.blobs.keys()]) {
    const target = path.join(data, 'blobs/sha256', hex(digest).slice(0, 2), hex(digest), 'data');
    await linkTo(fileOf(contentDirectory, digest), target);
  }
  for (const digest of image.blobs.keys())
    await writeLink(path.join(repository, '_layers/sha256', hex(digest)), digest);
  const manifests = path.join(repository, '_manifests');
  await writeLink(path.join(manifests, 'revisions/sha256', hex(image.digest)), image.digest);
  await writeLink(path.join(manifests, 'tags', tag, 'current'), image.digest);
  await writeLink(path.join(manifests, 'tags', tag, 'index/sha256', hex(image.digest)), image.digest);
}

async function writeLink(directory: string, digest: string): Promise<void> {
  await run('mkdir', ['-p', directory]);
  await writeFile(path.join(directory, 'link'), digest);
}
