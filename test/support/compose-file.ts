import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';

/** A service of a compose file, as far as the suite looks at it. Missing lists and maps are empty. */
export interface Service {
  readonly user?: string;
  /** The groups in addition to the user's own: numbers with commas between them. */
  readonly groups?: string;
  readonly command: readonly string[];
  readonly entrypoint: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly secrets: readonly string[];
  readonly configs: readonly { readonly source: string; readonly target: string }[];
  readonly mounts: readonly Mount[];
  /** The mount points of tmpfs, with their options. */
  readonly tmpfs: ReadonlyMap<string, string>;
  readonly networks: readonly string[];
  readonly network_mode?: string;
  readonly ports: readonly string[];
  readonly read_only?: boolean;
  readonly privileged?: boolean;
  readonly cap_drop: readonly string[];
  readonly cap_add: readonly string[];
  readonly security_opt: readonly string[];
  readonly ulimits?: { readonly core?: number; readonly nofile?: number };
  readonly healthcheck?: { readonly test?: readonly string[] };
  readonly depends_on: Readonly<Record<string, { readonly condition: string }>>;
}

export interface Mount {
  /** The name of a volume, or a path. */
  readonly source: string;
  readonly target: string;
  readonly readOnly: boolean;
}

export const EMPTY_SERVICE = {
  command: [],
  entrypoint: [],
  environment: {},
  secrets: [],
  configs: [],
  networks: [],
  ports: [],
  cap_drop: [],
  cap_add: [],
  security_opt: [],
  depends_on: {},
};

/** Returns the services of a compose file whose volumes, secrets and tmpfs are in their short forms. */
export async function readServices(file: string): Promise<ReadonlyMap<string, Service>> {
  const { services } = parse(await readFile(file, 'utf8'), { merge: true });
  return new Map(
    Object.entries<{ volumes?: string[]; tmpfs?: string[] }>(services).map(([name, given]) => {
      const { volumes = [], tmpfs = [], ...rest } = given;
      const service: Service = {
        ...EMPTY_SERVICE,
        ...rest,
        mounts: volumes.map(mountOf),
        tmpfs: new Map(tmpfs.map((one) => [one.split(':')[0] ?? '', one.split(':')[1] ?? ''])),
      };
      return [name, service];
    }),
  );
}

function mountOf(text: string): Mount {
  const [source = '', target = '', mode] = text.split(':');
  return { source, target, readOnly: mode === 'ro' };
}
