/** Real S3 servers, each with its own directory, on free ports of loopback. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, chmod, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { OBJECT_LIMITS, type ObjectLimits } from '../../../src/cluster/objects/limits.ts';
import { ObjectRequests } from '../../../src/cluster/objects/object-requests.ts';
import { ObjectStore } from '../../../src/cluster/objects/object-store.ts';
import { createLogger } from '../../../src/platform/log.ts';
import { binariesOf, buildProgram } from '../../clients/support/programs.ts';
import { run } from '../../e2e/support/process.ts';
import { freePort } from '../../support/free-port.ts';
import { waitFor } from '../../support/wait-for.ts';

const KEYS = { accessKeyId: 'hubgate-key', secretAccessKey: 'hubgate-secret' };
export const BUCKET = 'hubgate';
const BUILD_SECONDS = 20 * 60;

export interface ObjectServer extends AsyncDisposable {
  readonly endpoint: string;
  /** The files that hold the keys, as the configuration names them. */
  readonly accessKeyFile: string;
  readonly secretKeyFile: string;
  /** The directory of the bucket, if its objects are files there. */
  readonly bucket: string | undefined;
  signal(name: NodeJS.Signals): void;
  /** Ends it at once, and starts it again on the same port with what it has stored. */
  stop(): Promise<void>;
  start(): Promise<void>;
  /** Returns a client of it. */
  client(limits?: Partial<ObjectLimits>): ObjectStore;
}

/** The settings with which a node uses the bucket of a server. */
export function settingsOf(server: ObjectServer): Readonly<Record<string, string>> {
  return {
    HUBGATE_CLUSTER_OBJECTS_ENDPOINT: server.endpoint,
    HUBGATE_CLUSTER_OBJECTS_BUCKET: BUCKET,
    HUBGATE_CLUSTER_OBJECTS_ACCESS_KEY_FILE: server.accessKeyFile,
    HUBGATE_CLUSTER_OBJECTS_SECRET_KEY_FILE: server.secretKeyFile,
  };
}

interface Program {
  readonly command: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Returns the arguments, after the necessary files were written below `directory`. */
  readonly prepare: (directory: string, port: number) => Promise<readonly string[]>;
  /** The directory of the bucket below that of the server. */
  readonly bucket?: string;
}

/** Builds or installs both servers if they are missing. Returns why one cannot be had, by its name. */
export async function installObjectServers(): Promise<Readonly<Record<string, string | undefined>>> {
  return {
    versitygw: await buildProgram('versitygw', BUILD_SECONDS),
    seaweedfs: await installSeaweed(),
  };
}

/** Returns false if a server is installed; else why its tests are skipped. */
export async function whyNoServer(name: 'versitygw' | 'seaweedfs'): Promise<string | false> {
  const file = name === 'versitygw' ? versityProgram() : seaweedProgram();
  const isThere = await access(file).then(
    () => true,
    () => false,
  );
  return isThere ? false : `${name} is not installed: npm run test:cluster`;
}

export function startVersity(): Promise<ObjectServer> {
  return startServer({
    command: versityProgram(),
    environment: { ROOT_ACCESS_KEY: KEYS.accessKeyId, ROOT_SECRET_KEY: KEYS.secretAccessKey },
    bucket: `objects/${BUCKET}`,
    prepare: async (directory, port) => {
      await mkdir(path.join(directory, 'objects'));
      return ['--port', `127.0.0.1:${port}`, 'posix', path.join(directory, 'objects')];
    },
  });
}

export function startSeaweed(): Promise<ObjectServer> {
  return startServer({ command: seaweedProgram(), prepare: seaweedArguments });
}

async function startServer({ command, environment, prepare, bucket }: Program): Promise<ObjectServer> {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-objects-'));
  const port = await freePort();
  const endpoint = `http://127.0.0.1:${port}`;
  const accessKeyFile = path.join(directory, 'access-key');
  const secretKeyFile = path.join(directory, 'secret-key');
  await writeFile(accessKeyFile, KEYS.accessKeyId, { mode: 0o600 });
  await writeFile(secretKeyFile, KEYS.secretAccessKey, { mode: 0o600 });
  const args = await prepare(directory, port);
  let child: ChildProcess | undefined;
  const account = { endpoint, bucket: BUCKET, region: 'us-east-1', keys: async () => KEYS };
  const log = createLogger('test', { level: 'error', format: 'json' });
  const client = (limits: Partial<ObjectLimits> = {}) =>
    new ObjectStore({ ...account, limits: { ...OBJECT_LIMITS, ...limits }, log });
  const start = async () => {
    const started = spawn(command, args, { cwd: directory, env: { ...environment }, stdio: 'ignore' });
    child = started;
    await using requests = new ObjectRequests({ ...account, limits: OBJECT_LIMITS });
    await waitFor(async () => {
      assert.equal(started.exitCode, null, `${command} has ended`);
      const signal = AbortSignal.timeout(5_000);
      const made = await requests.send({ operation: 'put', method: 'PUT', accepted: [200, 409], signal });
      return made.kind === 'ok';
    });
  };
  const stop = async () => {
    const ended = child;
    child = undefined;
    if (ended === undefined || ended.exitCode !== null || ended.signalCode !== null) return;
    ended.kill('SIGKILL');
    await once(ended, 'exit');
  };
  await start();
  return {
    endpoint,
    accessKeyFile,
    secretKeyFile,
    bucket: bucket === undefined ? undefined : path.join(directory, bucket),
    signal: (name) => void child?.kill(name),
    stop,
    start,
    client,
    [Symbol.asyncDispose]: async () => {
      await stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

function versityProgram(): string {
  return path.join(binariesOf('versitygw'), 'versitygw');
}

const SEAWEED = 'seaweedfs@4.48';

function seaweedDirectory(): string {
  return path.join(path.dirname(binariesOf('versitygw')), SEAWEED);
}

function seaweedProgram(): string {
  return path.join(seaweedDirectory(), 'bin', 'weed');
}

/** The package of Python is a wheel with the program in it. The hash in the file pins it. */
async function installSeaweed(): Promise<string | undefined> {
  if ((await whyNoServer('seaweedfs')) === false) return undefined;
  const partial = await mkdtemp(path.join(tmpdir(), 'hubgate-seaweedfs-'));
  const wanted = path.join(import.meta.dirname, 'seaweedfs.txt');
  const flags = ['--quiet', '--no-deps', '--only-binary=:all:', '--require-hashes', '--target', partial];
  const { code, output } = await run('python3', ['-m', 'pip', 'install', ...flags, '-r', wanted]).catch(
    (error: Error) => ({ code: 1, output: error.message }),
  );
  if (code !== 0) return `seaweedfs cannot be installed here: ${output.trim().slice(-300)}`;
  await chmod(path.join(partial, 'bin', 'weed'), 0o755);
  await mkdir(path.dirname(seaweedDirectory()), { recursive: true });
  await rm(seaweedDirectory(), { recursive: true, force: true });
  await rename(partial, seaweedDirectory()).catch(() => moveAcross(partial, seaweedDirectory()));
  return undefined;
}

/** A rename does not lead to another file system. */
async function moveAcross(from: string, to: string): Promise<void> {
  const { code, output } = await run('cp', ['-a', from, `${to}.partial`]);
  assert.equal(code, 0, output);
  await rename(`${to}.partial`, to);
  await rm(from, { recursive: true });
}

async function seaweedArguments(directory: string, port: number): Promise<readonly string[]> {
  const identity = {
    name: 'hubgate',
    credentials: [{ accessKey: KEYS.accessKeyId, secretKey: KEYS.secretAccessKey }],
    actions: ['Admin', 'Read', 'Write', 'List', 'Tagging'],
  };
  const config = path.join(directory, 's3.json');
  await writeFile(config, JSON.stringify({ identities: [identity] }));
  const ports: string[] = [];
  for (const name of ['master', 'volume', 'filer'])
    ports.push(`-${name}.port=${await freePort()}`, `-${name}.port.grpc=${await freePort()}`);
  ports.push(`-s3.port=${port}`, `-s3.port.grpc=${await freePort()}`);
  ports.push('-s3.port.iceberg=0', '-s3.port.lance=0');
  await mkdir(path.join(directory, 'data'));
  return [
    'server',
    `-dir=${path.join(directory, 'data')}`,
    '-ip=127.0.0.1',
    '-ip.bind=127.0.0.1',
    '-master.telemetry=false',
    '-volume.max=8',
    '-filer',
    '-s3',
    `-s3.config=${config}`,
    ...ports,
  ];
}
