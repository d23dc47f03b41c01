/** containerd, docker with the containerd store, BuildKit and buildx push to hosted repositories. */
import assert from 'node:assert/strict';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { waitFor } from '../support/wait-for.ts';
import { containerdConfig, startBuildkitd, startContainerd, startDockerd } from './support/daemons.ts';
import type { Machine } from './support/machine.ts';
import { binariesOf, whyMissing } from './support/programs.ts';
import {
  type People,
  type PushedImage,
  peopleOn,
  pulledDigest,
  pushMachine,
  startPushWorld,
  testRefusals,
} from './support/push-world.ts';
import { PASSWORD, type World } from './support/world.ts';

const skip = await whyMissing('containerd', 'crictl', 'dockerd', 'buildkit', 'crane');
const withoutBuildx = skip || (await whyMissing('buildx'));
const OURS = 'mirror.corp/acme-internal';
/** What docker, containerd and BuildKit print for every 401. */
const WITHOUT_LOGIN = /push access denied, repository does not exist or may require authorization/;
const HOSTS = '--hosts-dir "$HOME/../hosts"';

const stack = new AsyncDisposableStack();
let world: World;
let machine: Machine;
let people: People;

before(async () => {
  if (skip !== false) return;
  world = stack.use(await startPushWorld());
  machine = stack.use(await pushMachine(world, 'daemons'));
  const at = (name: string) => path.join(machine.root, name);
  await mkdir(at('etc/docker'), { recursive: true });
  await writeFile(at('etc/docker/daemon.json'), '{}');
  await mkdir(at('etc/buildkit'), { recursive: true });
  await writeFile(at('etc/buildkit/buildkitd.toml'), '');
  const containerd = stack.use(await startContainerd(machine, containerdConfig(machine)));
  const dockerd = stack.use(await startDockerd(machine, 'containerd store'));
  const buildkitd = stack.use(await startBuildkitd(machine));
  people = await peopleOn(machine, {
    programs: [...containerd.programs, ...buildkitd.programs, binariesOf('crane')],
    env: { ...containerd.env, ...dockerd.env, ...buildkitd.env },
  });
  await mkdir(at('people/hosts/mirror.corp'), { recursive: true });
  await writeFile(at('people/hosts/mirror.corp/hosts.toml'), 'server = "https://mirror.corp"\n');
});

after(() => stack.disposeAsync());

const image = ({ repository, tag }: PushedImage) => `mirror.corp/${repository}:${tag}`;

/** Writes an image for `docker load` and `ctr images import`, without a registry. */
const archive = (pushed: PushedImage) =>
  `crane append -f "$HOME/../${pushed.file}.tar" -t ${image(pushed)} -o "$HOME/image.tar"`;

/** ctr reads no login of docker. */
const logins = `case "$HOME" in */anonymous) LOGIN= ;; *) LOGIN="--user $(basename "$HOME"):${PASSWORD}" ;; esac`;
const ctrPush = (target: string, source: string) =>
  `${logins}; ctr images push ${HOSTS} $LOGIN ${target} ${source}`;

testRefusals(
  {
    client: 'containerd',
    push: (pushed) =>
      `${archive(pushed)} && ctr images import --all-platforms --no-unpack "$HOME/image.tar" && ${ctrPush(image(pushed), image(pushed))}`,
    prints: { anonymous: WITHOUT_LOGIN },
  },
  () => people,
  skip,
);

testRefusals(
  {
    client: 'docker',
    push: (pushed) =>
      `${archive(pushed)} && docker load -i "$HOME/image.tar" && docker push ${image(pushed)}`,
    prints: { anonymous: WITHOUT_LOGIN },
  },
  () => people,
  skip,
);

/** The context is a directory of its own for each file. */
const context = (file: string) =>
  [
    `mkdir -p "$HOME/${file}"`,
    `cp "$HOME/../${file}" "$HOME/${file}/file"`,
    `printf 'FROM scratch\\nCOPY file /\\n' > "$HOME/${file}/Dockerfile"`,
  ].join(' && ');
const build = (file: string) =>
  `buildctl build --frontend dockerfile.v0 --local context="$HOME/${file}" --local dockerfile="$HOME/${file}"`;

testRefusals(
  {
    client: 'buildkit',
    push: (pushed) =>
      `${context(pushed.file)} && ${build(pushed.file)} --output type=image,name=${image(pushed)},push=true,compression=uncompressed`,
    prints: { anonymous: WITHOUT_LOGIN },
  },
  () => people,
  skip,
);

test('containerd pushes every platform, and mounts what another repository has', { skip }, async () => {
  const { cid, dev } = people;
  const source = 'mirror.corp/library/alpine:latest';
  const login = (name: string) => `--user ${name}:${PASSWORD}`;
  await cid.mustRun(`ctr images pull ${HOSTS} ${login('cid')} --all-platforms ${source}`);
  for (const name of ['app', 'too']) await cid.mustRun(ctrPush(`${OURS}/containerd/${name}:one`, source));
  await cid.mustRun(ctrPush(`${OURS}/containerd/too:local`, source).replace('push', 'push --local'));
  const digest = (await dev.mustRun('crane digest mirror.corp/library/alpine')).trim();
  for (const name of ['app:one', 'too:one', 'too:local'])
    assert.equal(await pulledDigest(people, `acme-internal/containerd/${name}`), digest);
  const pulled = `ctr images pull ${HOSTS} ${login('dev')} ${OURS}/containerd/too:one`;
  assert.ok((await dev.mustRun(pulled)).includes(digest));
  // The record is written after the answer.
  await waitFor(async () => (await mountsInto('acme-internal/containerd/too')) === 5);
});

/** Counts the blobs that were mounted. */
async function mountsInto(repository: string): Promise<number> {
  const lines = (await world.hubgate.run('audit', '--json')).split('\n').filter((line) => line !== '');
  return lines
    .map((line) => JSON.parse(line))
    .filter((line) => line.action === 'mount' && line.status === 201 && line.repository.endsWith(repository))
    .length;
}

test('docker pushes an image of several platforms with its attestations, and mounts it elsewhere', {
  skip,
}, async () => {
  const { cid, dev } = people;
  const first = await cid.mustRun(`docker pull --quiet mirror.corp/library/alpine
    for name in app too; do
      docker tag mirror.corp/library/alpine ${OURS}/docker/$name:one && docker push ${OURS}/docker/$name:one || exit 1
    done`);
  assert.match(first, /Mounted from acme-internal\/docker\/app/);
  const digest = (await dev.mustRun('crane digest mirror.corp/library/alpine')).trim();
  assert.ok(first.includes(`one: digest: ${digest}`), first);
  assert.equal(await pulledDigest(people, 'acme-internal/docker/too:one'), digest);

  // An image that docker holds for two platforms is pushed as one index.
  const several = `${OURS}/docker/several`;
  await cid.mustRun(
    `${context('one')} && ${attested('one')} --output type=oci,name=${several}:one,dest="$HOME/oci.tar"`,
  );
  await cid.mustRun('docker load -i "$HOME/oci.tar"');
  await cid.mustRun(`docker push ${several}:one`);
  await assertAttested('acme-internal/docker/several:one');
  await dev.mustRun(`docker rmi --force ${several}:one && docker pull ${several}:one`);
});

const attested = (file: string) =>
  `${build(file)} --opt platform=linux/amd64,linux/arm64 --opt attest:provenance=mode=max`;

/** Asserts that a pushed index has two images, and a complete attestation of each. */
async function assertAttested(pushed: string): Promise<void> {
  const index = JSON.parse(await people.dev.mustRun(`crane manifest mirror.corp/${pushed}`));
  const platforms = index.manifests.map(
    ({ platform }: { platform: { architecture: string } }) => platform.architecture,
  );
  assert.deepEqual(platforms, ['amd64', 'arm64', 'unknown', 'unknown']);
  const [amd64, arm64, ...attestations] = index.manifests;
  for (const [at, one] of [amd64, arm64].entries())
    assert.equal(attestations[at].annotations['vnd.docker.reference.digest'], one.digest);
  const [repository = ''] = pushed.split(':');
  for (const { digest } of attestations) {
    const { layers } = JSON.parse(
      await people.dev.mustRun(`crane manifest mirror.corp/${repository}@${digest}`),
    );
    const statement = await people.dev.mustRun(`crane blob mirror.corp/${repository}@${layers[0].digest}`);
    assert.match(statement, /slsa\.dev\/provenance/);
  }
}

test('BuildKit pushes what it builds with its provenance, and keeps its cache here', { skip }, async () => {
  const { cid, dev } = people;
  const metadata = path.join(machine.root, 'metadata.json');
  const push = `--output type=image,name=${OURS}/buildkit/app:one,push=true,oci-mediatypes=true,compression=zstd,force-compression=true`;
  const cache = `type=registry,ref=${OURS}/buildkit/app:cache`;
  await cid.mustRun(
    `${context('one')} && ${attested('one')} ${push} --export-cache ${cache},mode=max --metadata-file ${metadata}`,
  );
  const { 'containerimage.digest': digest } = JSON.parse(await readFile(metadata, 'utf8'));
  assert.equal(await pulledDigest(people, 'acme-internal/buildkit/app:one'), digest);
  await assertAttested('acme-internal/buildkit/app:one');
  await dev.mustRun('buildctl prune --all');
  const rebuilt = await dev.mustRun(
    `${context('one')} && ${build('one')} --progress plain --import-cache ${cache} --output type=oci,dest=/dev/null`,
  );
  assert.match(rebuilt, /importing cache manifest from .*\n.*inferred cache manifest type: \S+ done/);
  // The form that BuildKit had first is an index whose manifests are layers.
  const former = cache.replace(':cache', ':former');
  await cid.mustRun(
    `${context('other')} && ${build('other')} --export-cache ${former},mode=max,image-manifest=false`,
  );
  await dev.mustRun('buildctl prune --all');
  const again = await dev.mustRun(
    `${context('other')} && ${build('other')} --progress plain --import-cache ${former} --output type=oci,dest=/dev/null`,
  );
  assert.match(again, /cache manifest type: \S+image\.index\S+ done\n/);
  assert.match(again, /COPY file .*\n.* sha256:\S+ .*done/);
});

test('docker buildx pushes what it builds with its provenance', { skip: withoutBuildx }, async () => {
  const { cid } = people;
  const plugins = path.join(machine.root, 'people/cid/.docker/cli-plugins');
  await mkdir(plugins);
  await symlink(path.join(binariesOf('buildx'), 'buildx'), path.join(plugins, 'docker-buildx'));
  await cid.mustRun('docker buildx create --use --name pusher --driver remote "$BUILDKIT_HOST"');
  const options = '--platform linux/amd64,linux/arm64 --provenance mode=max --push';
  const metadata = path.join(machine.root, 'buildx.json');
  await cid.mustRun(
    `${context('other')} && docker buildx build ${options} --metadata-file ${metadata} -t ${OURS}/buildx/app:one "$HOME/other"`,
  );
  const { 'containerimage.digest': digest } = JSON.parse(await readFile(metadata, 'utf8'));
  assert.equal(await pulledDigest(people, 'acme-internal/buildx/app:one'), digest);
  await assertAttested('acme-internal/buildx/app:one');
  const imagetools = `docker buildx imagetools create -t ${OURS}/buildx/too:two ${OURS}/buildx/app:one`;
  await cid.mustRun(imagetools);
  assert.equal(await pulledDigest(people, 'acme-internal/buildx/too:two'), digest);
});
