/**
 * The Debian package, with the Node that `npm ci` brings: Debian has none that is new enough. It is made
 * without Debian's tools, so that it is the same on every machine.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { type Entry, type FileEntry, fileEntry, gzipOf, linkEntry, tarOf } from './archive.ts';
import type { Bill } from './bill-of-materials.ts';
import { manPages } from './man-pages.ts';
import type { Release } from './release-facts.ts';

const PROGRAM = 'usr/lib/hubgate';
const DOC = 'usr/share/doc/hubgate';
const NODE = `/${PROGRAM}/bin/node`;
const MAIN = `/${PROGRAM}/lib/bin/hubgate.js`;
const MAINTAINER = 'Hubgate maintainers <maintainers@hubgate.example>';
const CONFFILES = ['/etc/logrotate.d/hubgate'];

export interface DebianParts {
  readonly program: readonly FileEntry[];
  readonly node: Buffer;
  readonly bill: Bill;
}

export async function debianPackage(release: Release, parts: DebianParts): Promise<Buffer> {
  const files = [
    ...programEntries(parts),
    ...deploymentEntries(release.root),
    ...documentEntries(release, parts),
  ];
  const control = tarOf(controlEntries(release, files), release.time, './');
  const data = tarOf(files, release.time, './');
  const [controlMember, dataMember] = await Promise.all([gzipOf(control), gzipOf(data)]);
  const seconds = release.time.getTime() / 1000;
  return Buffer.concat([
    Buffer.from('!<arch>\n'),
    ...member('debian-binary', Buffer.from('2.0\n'), seconds),
    ...member('control.tar.gz', controlMember, seconds),
    ...member('data.tar.gz', dataMember, seconds),
  ]);
}

function programEntries({ program, node }: DebianParts): Entry[] {
  // The command is a file of its own, and what people read is in the place for it.
  const isElsewhere = (at: string) => /^(?:bin|docs|deploy)\/|^[^/]+\.md$|^LICENSE$/.test(at);
  return [
    ...program
      .filter((one) => !isElsewhere(one.path))
      .map((one) => ({ ...one, path: `${PROGRAM}/${one.path}` })),
    ...program
      .filter((one) => one.path.startsWith('docs/'))
      .map((one) => ({ ...one, path: `${DOC}/${one.path}` })),
    linkEntry(`${PROGRAM}/docs`, '../../share/doc/hubgate/docs'),
    fileEntry(NODE.slice(1), node, 0o755),
    fileEntry(
      'usr/bin/hubgate',
      `#!/bin/sh\nexport HUBGATE_HOME="\${HUBGATE_HOME:-/var/lib/hubgate}"\nexec ${NODE} ${MAIN} "$@"\n`,
      0o755,
    ),
  ];
}

function deploymentEntries(root: string): Entry[] {
  const deploy = (name: string) => readFileSync(path.join(root, 'deploy', name), 'utf8');
  const units = readdirSync(path.join(root, 'deploy/systemd')).filter((name) =>
    /\.(?:service|socket|target)$/.test(name),
  );
  const completion = (shell: string) =>
    execFileSync(process.execPath, [path.join(root, 'src/bin/hubgate.ts'), 'completion', shell]);
  return [
    ...units.map((name) => fileEntry(`usr/lib/systemd/system/${name}`, installed(deploy(`systemd/${name}`)))),
    fileEntry('usr/lib/sysusers.d/hubgate.conf', deploy('systemd/hubgate.sysusers')),
    fileEntry('etc/logrotate.d/hubgate', deploy('logrotate/hubgate')),
    ...['systemd/hubgate.tmpfiles', 'prometheus/alerts.yaml', 'grafana/hubgate.json'].map((name) =>
      fileEntry(`${DOC}/examples/${path.basename(name)}`, deploy(name)),
    ),
    fileEntry('usr/share/bash-completion/completions/hubgate', completion('bash')),
    fileEntry('usr/share/zsh/vendor-completions/_hubgate', completion('zsh')),
    fileEntry('usr/share/fish/vendor_completions.d/hubgate.fish', completion('fish')),
  ];
}

/** Returns a unit with the places of the package. */
function installed(unit: string): string {
  return unit
    .replaceAll('/opt/hubgate/bin/node /opt/hubgate/src/bin/hubgate.ts', `${NODE} ${MAIN}`)
    .replaceAll('/opt/hubgate/docs', `/${DOC}/docs`);
}

function documentEntries({ root, version, time }: Release, { bill }: DebianParts): Entry[] {
  const read = (name: string) => readFileSync(path.join(root, name));
  const packed = (text: string | Buffer) => gzipSync(text, { level: 9 });
  const changelog = [
    `hubgate (${version}) unstable; urgency=medium`,
    '',
    '  * A new version. NEWS.md.gz in this directory says what changed.',
    '',
    ` -- ${MAINTAINER}  ${time.toUTCString().replace('GMT', '+0000')}`,
    '',
  ];
  return [
    ...manPages(version, time).map(({ name, text }) =>
      fileEntry(`usr/share/man/man1/${name}.1.gz`, packed(text)),
    ),
    fileEntry(`${DOC}/changelog.gz`, packed(changelog.join('\n'))),
    fileEntry(`${DOC}/NEWS.md.gz`, packed(read('CHANGELOG.md'))),
    fileEntry(`${DOC}/README.md`, read('README.md')),
    fileEntry(`${DOC}/copyright`, copyright(bill, time)),
    fileEntry('usr/share/lintian/overrides/hubgate', read('tools/release/debian/lintian-overrides')),
  ];
}

function copyright({ components }: Bill, time: Date): string {
  const year = time.getUTCFullYear();
  const carried = components.map(({ name, version, licenses = [] }) => {
    const ids = licenses.map(({ license }) => license?.id ?? 'see its file').join(', ');
    return `  ${name} ${version}: ${ids}`;
  });
  return [
    'Hubgate is licensed under the Apache License 2.0, which is in',
    '/usr/share/common-licenses/Apache-2.0.',
    '',
    `Copyright ${year} the authors of Hubgate`,
    '',
    'The package carries these programs of others. Their copyright notices and licences',
    `are in /${PROGRAM}/node_modules, and those of Node.js (copyright: Node.js`,
    'contributors) and of what it contains in its file LICENSE, which',
    'https://github.com/nodejs/node has for each version.',
    '',
    ...carried,
    '',
  ].join('\n');
}

function controlEntries(release: Release, files: readonly Entry[]): Entry[] {
  const contents = files.filter((entry): entry is FileEntry => entry.kind === 'file');
  const script = (name: string) =>
    fileEntry(name, readFileSync(path.join(import.meta.dirname, 'debian', name)), 0o755);
  const sums = contents
    .toSorted((a, b) => (a.path < b.path ? -1 : 1))
    .map(({ path: at, content }) => `${createHash('md5').update(content).digest('hex')}  ${at}\n`);
  return [
    fileEntry('control', controlFile(release, contents)),
    fileEntry('md5sums', sums.join('')),
    fileEntry('conffiles', CONFFILES.map((name) => `${name}\n`).join('')),
    ...['postinst', 'prerm', 'postrm'].map(script),
  ];
}

function controlFile({ version, architecture }: Release, files: readonly FileEntry[]): string {
  const size = files.reduce((sum, { content }) => sum + Math.ceil(content.length / 1024), 0);
  return [
    'Package: hubgate',
    `Version: ${version}`,
    `Architecture: ${architecture}`,
    `Maintainer: ${MAINTAINER}`,
    `Installed-Size: ${size}`,
    // What the Node in the package is linked to.
    'Depends: libatomic1, libc6 (>= 2.28), libgcc-s1, libstdc++6 (>= 9), systemd | systemd-sysusers',
    'Recommends: logrotate',
    'Section: net',
    'Priority: optional',
    'Description: authenticated mirror of Docker Hub for a company',
    ' Everybody pulls container images through one mirror that caches what it',
    ' has seen, and nobody gets more than the policy allows. Only one of its',
    ' processes holds the credential of Docker Hub.',
    '',
  ].join('\n');
}

/** A member of an archive of ar(1). */
function member(name: string, content: Buffer, seconds: number): Buffer[] {
  const fields = [
    name.padEnd(16),
    String(seconds).padEnd(12),
    '0'.padEnd(6),
    '0'.padEnd(6),
    '100644'.padEnd(8),
  ];
  return [
    Buffer.from(`${fields.join('')}${String(content.length).padEnd(10)}\`\n`),
    content,
    Buffer.from(content.length % 2 === 0 ? '' : '\n'),
  ];
}
