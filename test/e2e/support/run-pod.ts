import assert from 'node:assert/strict';
import { chmod, mkdtemp } from 'node:fs/promises';
import path from 'node:path';
import type { Service } from '../../support/compose-file.ts';
import { freePort } from '../../support/free-port.ts';
import { asCommand } from './as-container.ts';
import type { Manifest } from './helm.ts';
import type { Image } from './image.ts';
import { asService, type Container, type Contents, podOf, writeVolume } from './pod.ts';
import { mustRun, type Result, run, startProcess } from './process.ts';

export interface PodOptions {
  /** The directory of its volumes. */
  readonly directory: string;
  /** The secrets and config maps that the chart does not make. */
  readonly contents: Contents;
  /** The port in place of the chart's, because all pods share this machine's network. */
  readonly port: number;
  /** The name of a pod that is a node of a cluster, and its port for the other nodes. */
  readonly node?: { readonly name: string; readonly port: number };
}

export interface RunningPod extends AsyncDisposable {
  /** Writes the current secrets and config maps into a volume. */
  write(volume: string, contents: Contents): Promise<void>;
  /** Runs a command in a container, as `kubectl exec` does. */
  inside(container: string, command: readonly string[], stdin?: string): Promise<Result>;
}

/**
 * Runs the pod that a chart renders without Kubernetes: volumes as kubelet writes them, and its containers in
 * their order.
 */
export async function startPod(
  image: Image,
  manifests: readonly Manifest[],
  { directory, contents: given, port, node }: PodOptions,
): Promise<RunningPod> {
  const pod = podOf(manifests);
  const maps = manifests.filter(({ kind }) => kind === 'ConfigMap');
  const contents: Contents = {
    ...Object.fromEntries(maps.map(({ metadata, data }) => [metadata.name, data ?? {}])),
    ...given,
  };
  const volumes = await mkdtemp(path.join(directory, 'pod-'));
  await chmod(volumes, 0o755);
  const write = (name: string, now: Contents) => {
    const volume = pod.volumes.find((one) => one.name === name) ?? assert.fail(`no volume ${name}`);
    return writeVolume(
      path.join(volumes, name),
      volume,
      { ...contents, ...now },
      pod.securityContext.fsGroup,
    );
  };
  for (const { name } of pod.volumes) await write(name, {});

  const admin = `127.0.0.1:${await freePort()}`;
  const ports = { HUBGATE_SERVER_LISTEN: `:${port}`, HUBGATE_SERVER_ADMIN: admin };
  const isReady = () =>
    fetch(`http://${admin}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    );
  const services = new Map<string, Service>();
  const command = (name: string, own?: readonly string[]) => {
    const service = services.get(name) ?? assert.fail(`no container ${name}`);
    const sources = Object.fromEntries(service.mounts.map(({ source }) => [source, source]));
    return asCommand(service, image, { sources, configs: {}, secrets: {} }, own);
  };
  const start = async (container: Container) => {
    const { name, startupProbe } = container;
    const service = await asService(container, pod, volumes, contents, node?.name);
    const peers = node !== undefined && { HUBGATE_CLUSTER_LISTEN: `127.0.0.1:${node.port}` };
    const environment = {
      ...service.environment,
      ...(name === 'gateway' && ports),
      ...(name === 'core' && peers),
    };
    services.set(name, { ...service, environment });
    if (container.restartPolicy === undefined && pod.initContainers.includes(container))
      return mustRun('env', command(name));
    const probe = startupProbe?.exec?.command;
    const ready = async () =>
      probe === undefined ? isReady() : (await run('env', command(name, probe))).code === 0;
    return stack.use(await startProcess('env', command(name), { ready }));
  };

  await using stack = new AsyncDisposableStack();
  for (const container of [...pod.initContainers, ...pod.containers]) await start(container);
  const running = stack.move();
  return {
    write,
    inside: (name, own, stdin = '') => run('env', command(name, own), { stdin }),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
