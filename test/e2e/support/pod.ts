import assert from 'node:assert/strict';
import { chmod, chown, mkdir, realpath, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { EMPTY_SERVICE, type Service } from '../../support/compose-file.ts';
import type { Manifest } from './helm.ts';

interface Item {
  readonly key: string;
  readonly path: string;
}

interface Source {
  readonly name?: string;
  readonly secretName?: string;
  readonly items?: readonly Item[];
  readonly defaultMode?: number;
}

export interface Volume {
  readonly name: string;
  readonly configMap?: Source;
  readonly secret?: Source;
  readonly projected?: {
    readonly defaultMode?: number;
    readonly sources: readonly { readonly configMap?: Source; readonly secret?: Source }[];
  };
  readonly emptyDir?: object;
  readonly persistentVolumeClaim?: { readonly claimName: string };
}

export interface Container {
  readonly name: string;
  readonly restartPolicy?: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: readonly {
    readonly name: string;
    readonly value?: string;
    readonly valueFrom?: {
      readonly secretKeyRef?: { readonly name: string; readonly key: string };
      readonly fieldRef?: { readonly fieldPath: 'metadata.name' };
    };
  }[];
  readonly securityContext: {
    readonly runAsUser: number;
    readonly runAsGroup: number;
    readonly runAsNonRoot?: boolean;
    readonly allowPrivilegeEscalation?: boolean;
    readonly privileged?: boolean;
    readonly readOnlyRootFilesystem: boolean;
    readonly capabilities?: { readonly drop?: readonly string[]; readonly add?: readonly string[] };
  };
  readonly startupProbe?: { readonly exec?: { readonly command: readonly string[] } };
  readonly volumeMounts: readonly {
    readonly name: string;
    readonly mountPath: string;
    readonly subPath?: string;
    readonly readOnly?: boolean;
  }[];
}

export interface PodSpec {
  readonly initContainers: readonly Container[];
  readonly containers: readonly Container[];
  readonly volumes: readonly Volume[];
  readonly securityContext: {
    readonly fsGroup: number;
    readonly runAsNonRoot?: boolean;
    readonly seccompProfile?: { readonly type: string };
  };
  readonly [other: string]: unknown;
}

interface StatefulSetSpec {
  readonly template: { readonly spec: PodSpec };
  readonly volumeClaimTemplates?: readonly { readonly metadata: { readonly name: string } }[];
}

/** The content of config maps and secrets, by their names. */
export type Contents = Readonly<Record<string, Readonly<Record<string, string>>>>;

export function podOf(manifests: readonly Manifest[]): PodSpec {
  const set = manifests.find(({ kind }) => kind === 'StatefulSet');
  assert.ok(set !== undefined, 'no stateful set');
  const { template, volumeClaimTemplates = [] } = set.spec as StatefulSetSpec;
  const claimed = volumeClaimTemplates.map(({ metadata }) => ({ name: metadata.name }));
  return { ...template.spec, volumes: [...template.spec.volumes, ...claimed] };
}

/** Returns the files of a config map or of secrets, by their paths. */
function filesOf({ name, secretName, items }: Source, contents: Contents): [string, string][] {
  const data = contents[name ?? secretName ?? ''] ?? assert.fail(`nothing is called ${name ?? secretName}`);
  const wanted = items ?? Object.keys(data).map((key) => ({ key, path: key }));
  return wanted.map(({ key, path }) => [
    path,
    data[key] ?? assert.fail(`no ${key} in ${name ?? secretName}`),
  ]);
}

/**
 * Writes a volume, or rewrites it, as kubelet does: its files are links through `..data`, which is replaced
 * as a whole.
 */
export async function writeVolume(
  directory: string,
  volume: Volume,
  contents: Contents,
  group: number,
): Promise<void> {
  await mkdir(directory, { recursive: true });
  await chown(directory, 0, group);
  await chmod(directory, 0o2777);
  const source = volume.configMap ?? volume.secret;
  const sources = source === undefined ? (volume.projected?.sources ?? []) : [volume];
  if (sources.length === 0) return;
  const files = sources.flatMap(({ configMap, secret }) => filesOf(configMap ?? secret ?? {}, contents));
  const mode = (source ?? volume.projected)?.defaultMode ?? 0o644;
  const fresh = path.join(directory, `..${process.hrtime.bigint()}`);
  for (const [name, text] of files) {
    const file = path.join(fresh, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, text);
    await chown(file, 0, group);
    await chmod(file, mode);
    const [first = ''] = name.split('/');
    await symlink(path.join('..data', first), path.join(directory, first)).catch(() => {});
  }
  const before = await realpath(path.join(directory, '..data')).catch(() => undefined);
  await symlink(path.basename(fresh), path.join(directory, '..data_tmp'));
  await rename(path.join(directory, '..data_tmp'), path.join(directory, '..data'));
  if (before !== undefined) await rm(before, { recursive: true });
}

/**
 * Converts a container of a pod to a service whose sources are paths below `volumes`, where kubelet would
 * have them.
 */
export async function asService(
  container: Container,
  pod: PodSpec,
  volumes: string,
  contents: Contents,
  podName = 'hubgate-0',
): Promise<Service> {
  const { runAsUser, runAsGroup, readOnlyRootFilesystem, capabilities, allowPrivilegeEscalation } =
    container.securityContext;
  const mounts = [];
  for (const { name, mountPath, subPath, readOnly = false } of container.volumeMounts) {
    const source = await sourceOf(path.join(volumes, name), subPath, pod.securityContext.fsGroup);
    mounts.push({ source, target: mountPath, readOnly });
  }
  const environment = (container.env ?? []).map(({ name, value, valueFrom }): [string, string] => {
    if (valueFrom?.fieldRef !== undefined) return [name, podName];
    const { name: secret = '', key = '' } = valueFrom?.secretKeyRef ?? {};
    return [name, value ?? contents[secret]?.[key] ?? assert.fail(`no ${key} in ${secret}`)];
  });
  return {
    ...EMPTY_SERVICE,
    user: `${runAsUser}:${runAsGroup}`,
    groups: String(pod.securityContext.fsGroup),
    read_only: readOnlyRootFilesystem,
    cap_drop: capabilities?.drop ?? [],
    security_opt: allowPrivilegeEscalation === false ? ['no-new-privileges:true'] : [],
    entrypoint: container.command ?? [],
    command: container.args ?? [],
    environment: { HOSTNAME: podName, ...Object.fromEntries(environment) },
    mounts,
    tmpfs: new Map(),
  };
}

/**
 * Returns the source of a mount. Kubelet makes a missing `subPath` with the volume's own mode; one that is a
 * file is bound as it is now.
 */
async function sourceOf(volume: string, subPath: string | undefined, group: number): Promise<string> {
  if (subPath === undefined) return volume;
  const source = path.join(volume, subPath);
  if ((await stat(source).catch(() => undefined)) === undefined) {
    await mkdir(source);
    await chown(source, 0, group);
    await chmod(source, 0o2775);
  }
  return realpath(source);
}
