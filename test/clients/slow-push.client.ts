/** A token of 60 s, and uploads of 70 s: a push outlives its token. */
import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { waitFor } from '../support/wait-for.ts';
import { containerdConfig, startContainerd, startDockerd } from './support/daemons.ts';
import type { Machine } from './support/machine.ts';
import { ADDRESSES } from './support/network.ts';
import { binariesOf, whyMissing } from './support/programs.ts';
import { type People, peopleOn, pushMachine, startPushWorld } from './support/push-world.ts';
import { startSlowLink } from './support/slow-link.ts';
import { PASSWORD, type World } from './support/world.ts';

const TOOLS = ['crane', 'oras', 'regctl'] as const;
const skip = await whyMissing(...TOOLS, 'containerd', 'crictl', 'dockerd');

/** The least time of the upload, in seconds. A token lives for 60 s. */
const SECONDS = 70;
/**
 * The sockets of a client take some MiB before it notices that the link is slow, and it waits 30 s for the
 * answer after its last byte, so the link cannot be much slower.
 */
const RATE = 640 * 1024;
const OURS = 'mirror.corp/acme-internal/slow';

interface SlowClient {
  readonly client: string;
  /** What it does before its link is slow. */
  readonly prepare?: string;
  readonly push: string;
}

const CLIENTS: readonly SlowClient[] = [
  { client: 'crane', push: `crane append -f "$HOME/../slow.tar" -t ${OURS}/crane:one` },
  { client: 'oras', push: `cd "$HOME/.." && oras push ${OURS}/oras:one slow` },
  {
    client: 'regctl',
    push: `regctl artifact put --artifact-type application/x -f "$HOME/../slow" ${OURS}/regctl:one`,
  },
  {
    client: 'docker',
    prepare: `crane append -f "$HOME/../slow.tar" -t ${OURS}/docker:one -o "$HOME/docker.tar" && docker load -i "$HOME/docker.tar"`,
    push: `docker push ${OURS}/docker:one`,
  },
  {
    client: 'containerd',
    prepare: `crane append -f "$HOME/../slow.tar" -t ${OURS}/containerd:one -o "$HOME/ctr.tar" && ctr images import --all-platforms --no-unpack "$HOME/ctr.tar"`,
    push: `ctr images push --hosts-dir "$HOME/../hosts" --user cid:${PASSWORD} ${OURS}/containerd:one`,
  },
];

const stack = new AsyncDisposableStack();
let world: World;
let machine: Machine;
let people: People;

before(async () => {
  if (skip !== false) return;
  world = stack.use(await startPushWorld());
  stack.use(await startSlowLink({ address: ADDRESSES.slow, to: ADDRESSES.mirror, rate: RATE }));
  machine = stack.use(await pushMachine(world, 'slow'));
  const at = (name: string) => path.join(machine.root, name);
  await mkdir(at('etc/docker'), { recursive: true });
  await writeFile(at('etc/docker/daemon.json'), '{}');
  const containerd = stack.use(await startContainerd(machine, containerdConfig(machine)));
  const dockerd = stack.use(await startDockerd(machine, 'containerd store'));
  people = await peopleOn(machine, {
    programs: [...containerd.programs, ...TOOLS.map(binariesOf)],
    env: { ...containerd.env, ...dockerd.env },
  });
  // Random bytes, because a layer may be compressed. The link may catch up for a second.
  await people.cid.mustRun(
    `cd "$HOME/.." && head -c ${(SECONDS + 3) * RATE} /dev/urandom > slow && tar cf slow.tar slow`,
  );
  await mkdir(at('people/hosts/mirror.corp'), { recursive: true });
  await writeFile(at('people/hosts/mirror.corp/hosts.toml'), 'server = "https://mirror.corp"\n');
  for (const { prepare } of CLIENTS) if (prepare !== undefined) await people.cid.mustRun(prepare);
  const hosts = await readFile(at('etc/hosts'), 'utf8');
  await writeFile(at('etc/hosts'), hosts.replace(ADDRESSES.mirror, ADDRESSES.slow));
});

after(() => stack.disposeAsync());

/** Returns how many uploads were begun for a repository, and how many of them have ended with a blob. */
async function uploadsOf(repository: string): Promise<readonly [begun: number, published: number]> {
  const text = await world.hubgate.run('audit', '--json');
  const lines = text.split('\n').filter((line) => line !== '');
  const statuses = lines
    .map((line) => JSON.parse(line))
    .filter(
      (line) => line.action === 'push' && line.upload !== undefined && line.repository.endsWith(repository),
    )
    .map(({ status }) => status);
  return [statuses.filter((one) => one === 202).length, statuses.filter((one) => one === 201).length];
}

test(`an upload of ${SECONDS} s outlives its token of 60 s`, { skip, concurrency: true }, async (context) => {
  await Promise.all(
    CLIENTS.map(({ client, push }) =>
      context.test(client, async () => {
        const begun = performance.now();
        await people.cid.mustRun(push, { seconds: 200 });
        assert.ok(performance.now() - begun > SECONDS * 1000);
        await people.dev.mustRun(`oras copy ${OURS}/${client}:one --to-oci-layout "$HOME/${client}:one"`);
        // The client has begun nothing a second time.
        await waitFor(async () => (await uploadsOf(`slow/${client}`))[1] === 2);
        assert.deepEqual(await uploadsOf(`slow/${client}`), [2, 2]);
      }),
    ),
  );
});
