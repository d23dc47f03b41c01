import { createHash } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { mustRun } from './process.ts';

/**
 * Writes an OCI image layout (image-layout.md of the image spec) with one image for two platforms: Debian's
 * static busybox in one layer, and more layers of random size, so that a pull takes several blobs.
 *
 * @returns the digest of the index
 */
export async function writeLayout(directory: string, reference: string, salt: string): Promise<string> {
  await mkdir(path.join(directory, 'blobs/sha256'), { recursive: true });
  const put = async (bytes: Buffer, mediaType: string) => {
    const hex = createHash('sha256').update(bytes).digest('hex');
    await writeFile(path.join(directory, 'blobs/sha256', hex), bytes);
    return { mediaType, digest: `sha256:${hex}`, size: bytes.length };
  };
  const json = (value: object) => Buffer.from(JSON.stringify(value));
  const layers = await Promise.all([
    busyboxLayer(),
    fileLayer('salt', salt),
    fileLayer('large', salt.repeat(200_000)),
  ]);

  const manifests = [];
  for (const architecture of ['amd64', 'arm64']) {
    const config = {
      architecture,
      os: 'linux',
      config: { Cmd: ['/bin/busybox', 'cat', '/salt'] },
      rootfs: {
        type: 'layers',
        diff_ids: layers.map((tar) => `sha256:${createHash('sha256').update(tar).digest('hex')}`),
      },
    };
    const manifest = {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: await put(json(config), 'application/vnd.oci.image.config.v1+json'),
      layers: await Promise.all(
        layers.map((tar) => put(gzipSync(tar), 'application/vnd.oci.image.layer.v1.tar+gzip')),
      ),
    };
    manifests.push({
      ...(await put(json(manifest), manifest.mediaType)),
      platform: { architecture, os: 'linux' },
    });
  }
  const mediaType = 'application/vnd.oci.image.index.v1+json';
  const index = await put(json({ schemaVersion: 2, mediaType, manifests }), mediaType);
  const named = { ...index, annotations: { 'org.opencontainers.image.ref.name': reference } };
  await writeFile(path.join(directory, 'oci-layout'), json({ imageLayoutVersion: '1.0.0' }));
  await writeFile(path.join(directory, 'index.json'), json({ schemaVersion: 2, manifests: [named] }));
  return index.digest;
}

async function busyboxLayer(): Promise<Buffer> {
  return tarOf(async (root) => {
    await mkdir(path.join(root, 'bin'));
    await copyFile('/bin/busybox', path.join(root, 'bin/busybox'));
  });
}

/** Makes an archive with one file. */
export function fileLayer(name: string, content: string): Promise<Buffer> {
  return tarOf((root) => writeFile(path.join(root, name), content));
}

async function tarOf(fill: (root: string) => Promise<unknown>): Promise<Buffer> {
  const work = await mkdtemp(path.join(tmpdir(), 'hubgate-layer-'));
  try {
    const root = path.join(work, 'root');
    await mkdir(root);
    await fill(root);
    const archive = path.join(work, 'layer.tar');
    await mustRun('tar', [
      '--create',
      '--file',
      archive,
      '--directory',
      root,
      '--owner=0',
      '--group=0',
      '--mtime=@0',
      '.',
    ]);
    return await readFile(archive);
  } finally {
    await rm(work, { recursive: true });
  }
}
