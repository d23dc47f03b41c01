import { access, mkdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import { run } from '../../e2e/support/process.ts';

/** A client that is built from its source at a pinned version. */
interface Tool {
  readonly version: string;
  readonly module: string;
  /**
   * The directories of its main packages within the module; empty for the module's own. The last part of each
   * package is the name of a program.
   */
  readonly packages: readonly string[];
  /** The time limit for the build. */
  readonly minutes: number;
  /** `go install` refuses a module that excludes versions of others, so a module of our own requires it. */
  readonly inOwnModule?: true;
  /** Another suite builds it. */
  readonly elsewhere?: true;
}

const TOOLS = {
  crane: {
    version: 'v0.22.1',
    module: 'github.com/google/go-containerregistry',
    packages: ['cmd/crane'],
    minutes: 5,
  },
  oras: { version: 'v1.3.6', module: 'oras.land/oras', packages: ['cmd/oras'], minutes: 5 },
  regctl: {
    version: 'v0.11.7',
    module: 'github.com/regclient/regclient',
    packages: ['cmd/regctl'],
    minutes: 5,
  },
  containerd: {
    version: 'v2.4.2',
    module: 'github.com/containerd/containerd/v2',
    packages: ['cmd/containerd', 'cmd/ctr', 'cmd/containerd-shim-runc-v2'],
    minutes: 12,
  },
  crictl: { version: 'v1.37.0', module: 'sigs.k8s.io/cri-tools', packages: ['cmd/crictl'], minutes: 5 },
  helm: { version: 'v3.22.0', module: 'helm.sh/helm/v3', packages: ['cmd/helm'], minutes: 8 },
  cosign: {
    version: 'v3.1.3',
    module: 'github.com/sigstore/cosign/v3',
    packages: ['cmd/cosign'],
    minutes: 15,
  },
  // The code of dockerd 29. Its packages are the newest release that has a Go module.
  dockerd: {
    version: 'v2.0.0-beta.24',
    module: 'github.com/moby/moby/v2',
    packages: ['cmd/dockerd'],
    minutes: 20,
  },
  // This is the version that this dockerd contains, because then most of it is compiled already.
  buildkit: {
    version: 'v0.33.0',
    module: 'github.com/moby/buildkit',
    packages: ['cmd/buildctl', 'cmd/buildkitd'],
    minutes: 10,
    inOwnModule: true,
  },
  kind: { version: 'v0.33.0', module: 'sigs.k8s.io/kind', packages: [''], minutes: 5 },
  buildx: { version: 'v0.38.2', module: 'github.com/docker/buildx', packages: ['cmd/buildx'], minutes: 10 },
  // Many still sign with it, and it keeps signatures under tags by default.
  cosign2: {
    version: 'v2.6.5',
    module: 'github.com/sigstore/cosign/v2',
    packages: ['cmd/cosign'],
    minutes: 15,
  },
  // The module has no versions, so this one names a commit.
  conformance: {
    version: 'v0.0.0-20260831232431-97274622c111',
    module: 'github.com/opencontainers/distribution-spec/conformance',
    packages: [''],
    minutes: 5,
    elsewhere: true,
  },
  // An S3 server on files, for the tests of a cluster.
  versitygw: {
    version: 'v1.8.0',
    module: 'github.com/versity/versitygw',
    packages: ['cmd/versitygw'],
    minutes: 20,
    elsewhere: true,
  },
  // It reads the registries.yaml of k3s and RKE2 with their code, and pulls by it.
  wharfie: { version: 'v0.7.1', module: 'github.com/rancher/wharfie', packages: [''], minutes: 10 },
} as const satisfies Record<string, Tool>;

export type ToolName = keyof typeof TOOLS;

/** The time limit of all builds together. CI has 90 minutes for everything. */
const MINUTES_IN_ALL = 35;

/** The variable by which the tests know why a client is missing: an object of reasons, as JSON. */
const REASONS = 'CLIENTS_MISSING';

/** Returns the directory that keeps built clients from run to run, with one directory for each version. */
function cacheDirectory(): string {
  const { CLIENTS_DIR: chosen, XDG_CACHE_HOME: caches } = process.env;
  return chosen ?? path.join(caches || path.join(homedir(), '.cache'), 'hubgate-clients');
}

/** Returns the directory with the programs of a client. */
export function binariesOf(name: ToolName): string {
  return path.join(cacheDirectory(), `${name}@${TOOLS[name].version}`);
}

/**
 * Builds the missing clients. Returns the environment that tells the tests what could not be built, and why.
 */
export async function buildPrograms(print: (line: string) => void): Promise<Record<string, string>> {
  const end = performance.now() + MINUTES_IN_ALL * 60_000;
  const reasons: Record<string, string> = {};
  for (const [name, tool] of Object.entries(TOOLS) as [ToolName, Tool][]) {
    if (tool.elsewhere) continue;
    const label = `${name} ${tool.version}`;
    const begin = performance.now();
    if (await isThere(binariesOf(name))) {
      print(`${label} is in ${binariesOf(name)}`);
      continue;
    }
    print(`${label} is being built`);
    const reason = await buildProgram(name, (end - begin) / 1000);
    if (reason !== undefined) reasons[name] = reason;
    print(reason ?? `${label} took ${Math.round((performance.now() - begin) / 1000)} s`);
  }
  return { [REASONS]: JSON.stringify(reasons) };
}

/** Builds a client if it is missing. @returns why it cannot be built; undefined if it can */
export async function buildProgram(name: ToolName, seconds: number): Promise<string | undefined> {
  const tool: Tool = TOOLS[name];
  await mkdir(cacheDirectory(), { recursive: true });
  const reason = await build(name, tool, Math.min(tool.minutes * 60, seconds));
  return reason && `${name} ${tool.version} cannot be built here: ${reason}`;
}

/**
 * Returns false if the clients are there; otherwise the reason for which a test that needs them is skipped.
 */
export async function whyMissing(...names: readonly ToolName[]): Promise<string | false> {
  const reasons: Record<string, string> = JSON.parse(process.env[REASONS] ?? '{}');
  for (const name of names) {
    if (await isThere(binariesOf(name))) continue;
    return reasons[name] ?? `${name} has not been built: npm run test:clients`;
  }
  return false;
}

function isThere(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}

/**
 * Builds a client. The directory appears when everything in it is complete. A second run that wants the same
 * client waits, and then finds it.
 */
const SCRIPT = `
[ -d "$TARGET" ] && exit 0
rm -rf "$TARGET.partial"
mkdir "$TARGET.partial"
cd "$TARGET.partial"
if [ -n "$OWN_MODULE" ]; then
  mkdir module
  cd module
  go mod init clients
  go get "$MODULE@$VERSION"
  go build -mod=mod -o "$TARGET.partial/" "$@"
  cd ..
  rm -rf module
else
  GOBIN="$TARGET.partial" go install "$@"
fi
mv "$TARGET.partial" "$TARGET"
`;

async function build(name: ToolName, tool: Tool, seconds: number): Promise<string | undefined> {
  if (await isThere(binariesOf(name))) return undefined;
  if (seconds < 1) return `all builds together took longer than ${MINUTES_IN_ALL} minutes`;
  if ((await run('sh', ['-c', 'command -v go'])).code !== 0) return 'there is no go on this machine';
  const target = binariesOf(name);
  const { inOwnModule = false, module, packages, version } = tool;
  const wanted = packages.map((one) => `${path.posix.join(module, one)}${inOwnModule ? '' : `@${version}`}`);
  const env = {
    CGO_ENABLED: '0',
    TARGET: target,
    MODULE: module,
    VERSION: version,
    OWN_MODULE: inOwnModule ? '1' : '',
  };
  // `timeout` ends the compilers too, because they are in its process group.
  const limit = ['timeout', '--kill-after=5', `${Math.round(seconds)}`];
  const command = ['flock', `${target}.lock`, 'sh', '-ec', SCRIPT, 'sh', ...wanted];
  const { code, output } = await run('nice', [...limit, ...command], { env });
  if (code === 0) return undefined;
  if (code === 124 || code === 137) return `it took longer than ${Math.round(seconds)} s`;
  return output.trim().split('\n').slice(-3).join(' ').slice(-500);
}
