import assert from 'node:assert/strict';
import { chmod, copyFile, cp, mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { mustRun } from './process.ts';

const ROOT = path.join(import.meta.dirname, '../../..');

interface Instruction {
  readonly name: string;
  readonly value: string;
}

/**
 * The image of the Dockerfile. No container engine that could build it is part of the suite, so each step
 * runs in an empty folder for each stage that stands for the image's root: each absolute path of the image is
 * a path below it.
 */
export interface Image {
  /** The root of the last stage. */
  readonly root: string;
  /** Returns the last instruction with this name. */
  instruction(name: string): string;
  /** Converts a path, or a text with paths of the image, into one with paths below the root. */
  inRoot(text: string): string;
}

/** Builds the image below `directory`, which any user may enter. */
export async function buildImage(directory: string): Promise<Image> {
  const instructions = await readDockerfile();
  const stages = new Map<string, Stage>();
  let stage: Stage | undefined;
  for (const { name, value } of instructions) {
    if (name === 'FROM') {
      const as = /\bAS (\w+)$/.exec(value)?.[1] ?? 'final';
      stage = await startStage(path.join(directory, as));
      stages.set(as, stage);
    } else if (stage !== undefined) await step({ name, value }, stage, stages);
  }
  assert.ok(stage !== undefined, 'the Dockerfile has no FROM');
  const { root } = stage;
  return {
    root,
    instruction: (name) =>
      instructions.findLast((one) => one.name === name)?.value ?? assert.fail(`no ${name}`),
    inRoot: (text) => below(root, text),
  };
}

async function readDockerfile(): Promise<Instruction[]> {
  const text = await readFile(path.join(ROOT, 'Dockerfile'), 'utf8');
  const lines = text
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n')
    .replace(/\\\n/g, ' ')
    .split('\n')
    .filter((line) => line !== '');
  return lines.map((line) => {
    const [, name = '', value = ''] = /^(\w+)\s+(.+)$/.exec(line) ?? [];
    return { name, value };
  });
}

interface Stage {
  readonly root: string;
  work: string;
}

/**
 * Makes the base image, as far as it matters: the Node of this suite, and something that stands for its npm.
 */
async function startStage(root: string): Promise<Stage> {
  const node = path.join(root, 'usr/local/bin/node');
  await mkdir(path.dirname(node), { recursive: true });
  await mkdir(path.join(root, 'usr/local/lib/node_modules/npm'), { recursive: true });
  await copyFile(process.execPath, node);
  await chmod(node, 0o755);
  return { root, work: root };
}

async function step(
  { name, value }: Instruction,
  stage: Stage,
  stages: ReadonlyMap<string, Stage>,
): Promise<void> {
  const { root } = stage;
  if (name === 'WORKDIR') {
    stage.work = below(root, value);
    await mkdir(stage.work, { recursive: true });
  } else if (name === 'COPY') {
    await copy(value, stage, stages);
  } else if (name === 'RUN') {
    const command = below(root, value);
    // The command runs as root on this machine.
    const elsewhere = command.match(/(?<=^|[\s"'=])\/[^\s"']*/g)?.filter((file) => !file.startsWith(root));
    assert.deepEqual(elsewhere ?? [], [], `RUN ${value} names what is not below the image's root`);
    const PATH = `${path.join(root, 'usr/local/bin')}:${process.env.PATH}`;
    await mustRun('sh', ['-c', `cd ${stage.work} && ${command}`], { env: { PATH } });
  }
}

async function copy(value: string, { work }: Stage, stages: ReadonlyMap<string, Stage>): Promise<void> {
  const parts = value.split(/\s+/);
  const from = parts[0]?.startsWith('--from=')
    ? stages.get(parts.shift()?.slice('--from='.length) ?? '')
    : undefined;
  const target = path.join(work, parts.pop() ?? '');
  for (const part of parts) {
    // If Docker's COPY copies several files into one directory, it drops their own directories.
    const to = parts.length > 1 || value.endsWith('/') ? path.join(target, path.basename(part)) : target;
    await cp(from === undefined ? path.join(ROOT, part) : below(from.root, part), to, {
      recursive: true,
      verbatimSymlinks: true,
    });
  }
}

function below(root: string, text: string): string {
  return text.replace(/(?<![\w.])\/(?=(?:opt|hubgate|usr\/local)\b)/g, `${root}/`);
}
