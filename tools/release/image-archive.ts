/**
 * The image as an archive that `docker load` and `podman load` read. It is made without a container engine,
 * of three layers: Debian's libraries, Node, and the program.
 */
import {
  directoryEntry,
  type Entry,
  type FileEntry,
  fileEntry,
  gzipOf,
  linkEntry,
  sha256,
  tarOf,
} from './archive.ts';
import type { Release } from './release-facts.ts';

const PROGRAM = 'opt/hubgate';
const USER = 1000;
const MAIN = `/${PROGRAM}/lib/bin/hubgate.js`;

/**
 * What busybox is called as: what the chart, the compose files and a person who looks into a container use.
 */
const APPLETS = [
  ...['sh', 'env', 'cat', 'chmod', 'chown', 'cp', 'date', 'df', 'du', 'echo', 'find', 'grep', 'head', 'id'],
  ...['kill', 'ls', 'mkdir', 'mv', 'ps', 'rm', 'sleep', 'stat', 'tail', 'tar', 'test', 'touch', 'vi'],
];

export interface ImageParts {
  readonly program: readonly FileEntry[];
  readonly node: Buffer;
  /** The base of the file system. */
  readonly libraries: readonly Entry[];
}

export async function imageArchive(release: Release, parts: ImageParts): Promise<Buffer> {
  const layers = await Promise.all(
    [baseLayer(parts), nodeLayer(parts), programLayer(parts)].map((entries) =>
      layerOf(entries, release.time),
    ),
  );
  const config = blobOf(
    imageConfig(
      release,
      layers.map(({ diffId }) => diffId),
    ),
  );
  const manifest = blobOf({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: descriptor('application/vnd.oci.image.config.v1+json', config),
    layers: layers.map((layer) => descriptor('application/vnd.oci.image.layer.v1.tar+gzip', layer)),
  });
  const name = `hubgate:${release.version}`;
  const index = {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: [
      {
        ...descriptor('application/vnd.oci.image.manifest.v1+json', manifest),
        platform: { os: 'linux', architecture: release.architecture },
        annotations: {
          'io.containerd.image.name': `docker.io/library/${name}`,
          'org.opencontainers.image.ref.name': name,
        },
      },
    ],
  };
  const blobs = [config, manifest, ...layers];
  // The older form, for a Docker that does not read that of OCI.
  const docker = [{ Config: pathOf(config), RepoTags: [name], Layers: layers.map((layer) => pathOf(layer)) }];
  return tarOf(
    [
      ...blobs.map((blob) => fileEntry(pathOf(blob), blob.content)),
      fileEntry('index.json', JSON.stringify(index)),
      fileEntry('manifest.json', JSON.stringify(docker)),
      fileEntry('oci-layout', '{"imageLayoutVersion":"1.0.0"}'),
    ],
    release.time,
  );
}

interface Blob {
  readonly digest: string;
  readonly content: Buffer;
}

function blobOf(document: object): Blob {
  const content = Buffer.from(JSON.stringify(document));
  return { content, digest: sha256(content) };
}

function pathOf({ digest }: Blob): string {
  return `blobs/sha256/${digest}`;
}

function descriptor(mediaType: string, { digest, content }: Blob) {
  return { mediaType, digest: `sha256:${digest}`, size: content.length };
}

async function layerOf(entries: readonly Entry[], time: Date): Promise<Blob & { readonly diffId: string }> {
  const tar = tarOf(entries, time);
  const content = await gzipOf(tar);
  return { content, digest: sha256(content), diffId: sha256(tar) };
}

function baseLayer({ libraries }: ImageParts): Entry[] {
  return [
    ...libraries,
    ...['bin', 'sbin', 'lib', 'lib64'].map((name) => linkEntry(name, `usr/${name}`)),
    ...['usr/bin', 'usr/sbin', 'usr/lib', 'usr/lib64', 'proc', 'sys', 'dev', 'run', 'var/tmp'].map((name) =>
      directoryEntry(name),
    ),
    directoryEntry('tmp', 0o1777),
    directoryEntry('root', 0o700),
    ...APPLETS.map((name) => linkEntry(`usr/bin/${name}`, 'busybox')),
    fileEntry(
      'etc/passwd',
      `root:x:0:0:root:/root:/bin/sh\nhubgate:x:${USER}:${USER}:hubgate:/hubgate:/bin/sh\n`,
    ),
    fileEntry('etc/group', `root:x:0:\nhubgate:x:${USER}:\n`),
    fileEntry('etc/nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files dns\n'),
  ];
}

function nodeLayer({ node }: ImageParts): Entry[] {
  return [fileEntry('usr/local/bin/node', node, 0o755)];
}

function programLayer({ program }: ImageParts): Entry[] {
  const home = [
    '',
    '/config',
    '/certs',
    '/state',
    '/data',
    '/log',
    '/run',
    '/run/core',
    '/run/auth',
    '/run/gateway',
    '/run/account',
  ];
  return [
    ...program.map((entry) => ({ ...entry, path: `${PROGRAM}/${entry.path}` })),
    linkEntry('usr/local/bin/hubgate', `../../../${PROGRAM}/bin/hubgate.cjs`),
    ...home.map((name) => directoryEntry(`hubgate${name}`, 0o755, USER)),
  ];
}

/** The same as in the Dockerfile. */
function imageConfig({ version, time, architecture, description }: Release, diffIds: readonly string[]) {
  const created = time.toISOString();
  const probe =
    "fetch('http://127.0.0.1:9090/readyz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))";
  const seconds = (count: number) => count * 1e9;
  return {
    created,
    architecture,
    os: 'linux',
    config: {
      User: `${USER}:${USER}`,
      ExposedPorts: { '8443/tcp': {} },
      Env: ['PATH=/usr/local/bin:/usr/bin:/bin', 'NODE_ENV=production'],
      Entrypoint: ['node', MAIN],
      Cmd: ['start'],
      WorkingDir: '/hubgate',
      Labels: {
        'org.opencontainers.image.title': 'Hubgate',
        'org.opencontainers.image.description': description,
        'org.opencontainers.image.licenses': 'Apache-2.0',
        'org.opencontainers.image.version': version,
      },
      Healthcheck: {
        Test: ['CMD', 'node', '-e', probe],
        Interval: seconds(10),
        Timeout: seconds(3),
        StartPeriod: seconds(20),
      },
    },
    rootfs: { type: 'layers', diff_ids: diffIds.map((id) => `sha256:${id}`) },
    history: ['libraries of Debian', 'Node', 'Hubgate'].map((created_by) => ({ created, created_by })),
  };
}
