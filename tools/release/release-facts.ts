import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import packageJson from '../../package.json' with { type: 'json' };
import { sha256 } from './archive.ts';
import type { Component } from './bill-of-materials.ts';

/** Debian's and OCI's names of an architecture. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

/** What all artifacts of a release have in common. */
export interface Release {
  /** The checkout. */
  readonly root: string;
  readonly version: string;
  readonly description: string;
  /** The time of the commit, or SOURCE_DATE_EPOCH. It is the time of every file. */
  readonly time: Date;
  /** `amd64` or `arm64`. */
  readonly architecture: string;
}

export function releaseFacts(): Release {
  const root = path.join(import.meta.dirname, '../..');
  const architecture = ARCHITECTURES[process.arch];
  if (process.platform !== 'linux' || architecture === undefined)
    throw new Error(
      `a release is built on Linux, on x64 or arm64; this is ${process.platform} ${process.arch}`,
    );
  const git = (...args: string[]) => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
  const seconds = process.env.SOURCE_DATE_EPOCH ?? git('log', '-1', '--format=%ct');
  const { version, description } = packageJson;
  return { root, version, description, time: new Date(Number(seconds) * 1000), architecture };
}

/** The Node that `npm ci` brings, which the Debian package and the image carry. */
export interface CarriedNode {
  readonly binary: Buffer;
  readonly component: Component;
}

export function carriedNode({ root }: Release): CarriedNode {
  const file = path.join(root, 'node_modules/node/bin/node');
  const binary = readFileSync(file);
  const version = execFileSync(file, ['--version'], { encoding: 'utf8' }).trim().slice(1);
  const component = {
    'bom-ref': `node@${version}`,
    type: 'application',
    name: 'node',
    version,
    cpe: `cpe:2.3:a:nodejs:node.js:${version}:*:*:*:*:*:*:*`,
    purl: `pkg:generic/node@${version}`,
    hashes: [{ alg: 'SHA-256', content: sha256(binary) }],
    licenses: [{ license: { id: 'MIT' } }],
  };
  return { binary, component };
}
