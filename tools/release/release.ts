/**
 * Builds what a release consists of, in dist: `npm run release` for all, `npm run release -- npm chart` for a
 * part. The same commit gives the same bytes.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { sha256 } from './archive.ts';
import { type Bill, billOfPackage, billWith, billWithoutPrograms, printedBill } from './bill-of-materials.ts';
import { chartArchive } from './chart-archive.ts';
import { debianLibraries } from './debian-libraries.ts';
import { debianPackage } from './debian-package.ts';
import { imageArchive } from './image-archive.ts';
import { packForNpm, programFiles } from './npm-package.ts';
import { carriedNode, type Release, releaseFacts } from './release-facts.ts';

const PARTS = ['npm', 'debian', 'image', 'chart'] as const;
type Part = (typeof PARTS)[number];

interface Artifact {
  readonly name: string;
  readonly content: Buffer;
  readonly bill: Bill;
}

async function build(parts: readonly Part[], directory: string): Promise<void> {
  const release = releaseFacts();
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const bill = billOfPackage(release);
  const artifacts: Artifact[] = parts.includes('chart') ? [await chart(release, bill)] : [];
  if (parts.some((part) => part !== 'chart'))
    artifacts.push(...(await programs(release, bill, parts, directory)));
  const files = artifacts.flatMap(({ name, content, bill: own }) => [
    [name, content] as const,
    [`${name}.cdx.json`, printedBill(own)] as const,
  ]);
  const sums = files.map(([name, content]) => `${sha256(content)}  ${name}\n`).toSorted(byName);
  for (const [name, content] of [...files, ['SHA256SUMS', sums.join('')] as const])
    writeFileSync(path.join(directory, name), content);
  process.stdout.write(sums.join(''));
}

async function chart(release: Release, bill: Bill): Promise<Artifact> {
  const { version, time } = release;
  const image = { 'bom-ref': `image:hubgate:${version}`, type: 'container', name: 'hubgate', version };
  return {
    name: `hubgate-chart-${version}.tgz`,
    content: await chartArchive(time),
    bill: billWith(
      billWithoutPrograms(bill),
      { type: 'application', purl: `pkg:generic/hubgate-chart@${version}` },
      [image],
      release,
    ),
  };
}

async function programs(
  release: Release,
  bill: Bill,
  parts: readonly Part[],
  directory: string,
): Promise<Artifact[]> {
  const { version, architecture } = release;
  const file = packForNpm(release, directory);
  const program = await programFiles(file);
  const node = carriedNode(release);
  const debian = async (): Promise<Artifact> => {
    const purl = `pkg:deb/hubgate@${version}?arch=${architecture}`;
    const own = billWith(bill, { type: 'application', purl }, [node.component], release);
    const content = await debianPackage(release, { program, node: node.binary, bill: own });
    return { name: `hubgate_${version}_${architecture}.deb`, content, bill: own };
  };
  const image = async (): Promise<Artifact> => {
    const { files, components } = await debianLibraries(path.join(directory, 'debian'));
    const content = await imageArchive(release, { program, node: node.binary, libraries: files });
    rmSync(path.join(directory, 'debian'), { recursive: true });
    const about = { type: 'container', purl: `pkg:generic/hubgate-image@${version}?arch=${architecture}` };
    const own = billWith(bill, about, [node.component, ...components], release);
    return { name: `hubgate-${version}-image-${architecture}.tar`, content, bill: own };
  };
  return [
    ...(parts.includes('npm') ? [{ name: path.basename(file), content: readFileSync(file), bill }] : []),
    ...(await Promise.all([
      ...(parts.includes('debian') ? [debian()] : []),
      ...(parts.includes('image') ? [image()] : []),
    ])),
  ];
}

function byName(a: string, b: string): number {
  return a.slice(64) < b.slice(64) ? -1 : 1;
}

const wanted = process.argv.slice(2);
const unknown = wanted.find((name) => !PARTS.some((part) => part === name));
if (unknown !== undefined) {
  process.stderr.write(`release: there is no part "${unknown}"; the parts are ${PARTS.join(', ')}\n`);
  process.exitCode = 2;
} else {
  const parts = PARTS.filter((part) => wanted.length === 0 || wanted.includes(part));
  await build(parts, path.join(import.meta.dirname, '../../dist'));
}
