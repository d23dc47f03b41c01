/** The files of Debian's packages that the base of the image consists of. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { type Entry, type FileEntry, fileEntry, type LinkEntry, readTar } from './archive.ts';
import type { Component } from './bill-of-materials.ts';

/** What Node is linked to, a shell with its programs, and the authorities that credential helpers trust. */
const PACKAGES = [
  'base-files',
  'busybox-static',
  'ca-certificates',
  'libc6',
  'libgcc-s1',
  'libstdc++6',
  'libatomic1',
];

const KEPT =
  /^(?:etc\/(?:os-release|debian_version)|usr\/lib\/os-release|usr\/bin\/busybox|usr\/lib\/[^/]+\/[^/]+\.so[^/]*|usr\/lib64\/.*|usr\/share\/ca-certificates\/.*|usr\/share\/doc\/[^/]+\/copyright)$/;

/** Each authority in a file of its own. The image has them in one file. */
const AUTHORITIES = 'usr/share/ca-certificates/';

export interface DebianLibraries {
  readonly files: readonly Entry[];
  readonly components: readonly Component[];
}

/** Fetches the packages by apt-get into `directory`, and returns what the image needs of them. */
export async function debianLibraries(directory: string): Promise<DebianLibraries> {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  // The licence of the compiler's libraries is in a package of its own, whose name has the version.
  const gcc = packageField(download(['libgcc-s1'], directory)[0] ?? '', 'Depends').match(/gcc-\d+-base/)?.[0];
  const names = gcc === undefined ? PACKAGES : [...PACKAGES, gcc];
  const packages = download(names, directory);
  const read = await Promise.all(packages.map((file) => filesOf(file)));
  const files = read.flat();
  const status = packages.map((file) => {
    const name = packageField(file, 'Package');
    // Scanners find here what the image consists of.
    return fileEntry(`var/lib/dpkg/status.d/${name}`, execFileSync('dpkg-deb', ['--field', file]));
  });
  const libraries = files.filter(({ path: at }) => !at.startsWith(AUTHORITIES));
  return { files: [...libraries, ...status, authorities(files)], components: packages.map(componentOf) };
}

function download(names: readonly string[], directory: string): string[] {
  try {
    execFileSync('apt-get', ['download', '--quiet', ...names], {
      cwd: directory,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
  } catch (error) {
    throw new Error('the image needs packages of Debian, and apt-get does not get them; run apt-get update', {
      cause: error,
    });
  }
  const files = readdirSync(directory).filter((name) => name.endsWith('.deb'));
  return files.toSorted().map((name) => path.join(directory, name));
}

function packageField(file: string, field: string): string {
  return execFileSync('dpkg-deb', ['--field', file, field], { encoding: 'utf8' }).trim();
}

async function filesOf(file: string): Promise<(FileEntry | LinkEntry)[]> {
  const tar = execFileSync('dpkg-deb', ['--fsys-tarfile', file], { maxBuffer: 2 ** 28 });
  const entries = (await readTar(tar)).map((entry) => ({ ...entry, path: merged(entry.path) }));
  return entries.filter((entry) => KEPT.test(entry.path));
}

/** Returns the place of a file in a system whose /bin and /lib are links into /usr. */
function merged(at: string): string {
  return at.replace(/^(bin|sbin|lib|lib64)\//, 'usr/$1/');
}

/** The authorities in one file, as `update-ca-certificates` makes it. */
function authorities(files: readonly Entry[]): FileEntry {
  const certificates = files
    .filter((entry): entry is FileEntry => entry.kind === 'file' && entry.path.startsWith(AUTHORITIES))
    .toSorted((a, b) => (a.path < b.path ? -1 : 1));
  return fileEntry(
    'etc/ssl/certs/ca-certificates.crt',
    Buffer.concat(certificates.map(({ content }) => content)),
  );
}

function componentOf(file: string): Component {
  const [name, version, architecture] = ['Package', 'Version', 'Architecture'].map((field) =>
    packageField(file, field),
  );
  const purl = `pkg:deb/debian/${encodeURIComponent(name ?? '')}@${encodeURIComponent(version ?? '')}?arch=${architecture}`;
  return { 'bom-ref': purl, type: 'library', name: name ?? '', version: version ?? '', purl };
}
