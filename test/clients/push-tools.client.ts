/** Today's tools push to hosted repositories, refer to what was pushed, and delete it. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
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
import type { World } from './support/world.ts';

const TOOLS = ['crane', 'oras', 'regctl', 'helm'] as const;
const skip = await whyMissing(...TOOLS);
const OURS = 'mirror.corp/acme-internal';
const DIGEST = /sha256:[0-9a-f]{64}/;
const MAY_NOT_DELETE = /you may not delete from this repository/;

let world: World;
let machine: Machine;
let people: People;

before(async () => {
  if (skip !== false) return;
  world = await startPushWorld();
  machine = await pushMachine(world, 'tools');
  people = await peopleOn(machine, { programs: TOOLS.map(binariesOf) });
});

after(async () => {
  await machine?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
});

const image = ({ repository, tag }: PushedImage) => `mirror.corp/${repository}:${tag}`;

testRefusals(
  {
    client: 'crane',
    push: (pushed) => `crane append -f "$HOME/../${pushed.file}.tar" -t ${image(pushed)}`,
  },
  () => people,
  skip,
);

testRefusals(
  { client: 'oras', push: (pushed) => `cd "$HOME/.." && oras push ${image(pushed)} ${pushed.file}` },
  () => people,
  skip,
);

testRefusals(
  {
    client: 'regctl',
    push: (pushed) =>
      `regctl artifact put --artifact-type application/x -f "$HOME/../${pushed.file}" ${image(pushed)}`,
    // It prints the status of a refused chunk, and drops the words.
    prints: { quota: /failed to send blob \(chunk\).* unauthorized \[http 403\]/ },
  },
  () => people,
  skip,
);

/** A chart is its own last part of the repository, and its version is the tag. */
function pushChart({ repository, tag, file }: PushedImage): string {
  const [owner, chart] = [repository.slice(0, repository.lastIndexOf('/')), repository.split('/').at(-1)];
  const version = /^\d/.test(tag) ? tag : '0.1.0';
  return [
    `rm -rf "$HOME/${chart}" && mkdir "$HOME/${chart}" && cd "$HOME"`,
    `printf 'apiVersion: v2\\nname: ${chart}\\nversion: ${version}\\n' > ${chart}/Chart.yaml`,
    `cp ../${file} ${chart}/ && helm package ${chart}`,
    `helm push ${chart}-${version}.tgz oci://mirror.corp/${owner}`,
  ].join(' && ');
}

testRefusals({ client: 'helm', push: pushChart }, () => people, skip);

test('crane pushes an index, mounts it elsewhere, tags it, and deletes the tag and the digest', {
  skip,
}, async () => {
  const { cid, dev, rel } = people;
  await cid.mustRun('crane pull --format oci mirror.corp/library/alpine "$HOME/alpine"');
  const pushed = await cid.mustRun(`crane push "$HOME/alpine" ${OURS}/crane/app:one`);
  const digest = pushed.trim().split('@').at(-1);
  assert.ok(digest);
  const copied = await cid.mustRun(`crane copy ${OURS}/crane/app:one ${OURS}/crane/too:one`);
  assert.match(copied, /mounted blob/);
  assert.doesNotMatch(copied, /pushed blob/);
  await cid.mustRun(`crane tag ${OURS}/crane/too:one two`);
  assert.equal(await pulledDigest(people, 'acme-internal/crane/too:two'), digest);
  assert.equal(digest, (await dev.mustRun('crane digest mirror.corp/library/alpine')).trim());

  assert.match(await cid.mustFail(`crane delete ${OURS}/crane/too:two`), MAY_NOT_DELETE);
  await rel.mustRun(`crane delete ${OURS}/crane/too:two`);
  assert.equal((await dev.mustRun(`crane ls ${OURS}/crane/too`)).trim(), 'one');
  await rel.mustRun(`crane delete ${OURS}/crane/too@${digest}`);
  assert.match(await dev.mustFail(`crane manifest ${OURS}/crane/too:one`), /manifest unknown/);
  const immutable = `crane delete ${OURS}/crane/refused:9.0.0`;
  assert.match(await rel.mustFail(immutable), /9\.0\.0 is immutable .*except by whoever runs this registry/);
});

test('oras pushes files, attaches others to them, copies all of it, and deletes a referrer', {
  skip,
}, async () => {
  const { cid, dev, rel } = people;
  const types = async (repository: string) => {
    const found = await dev.mustRun(`oras discover --format json ${OURS}/oras/${repository}:one`);
    const { referrers = [], manifests = referrers } = JSON.parse(found);
    return manifests.map(({ artifactType }: { artifactType: string }) => artifactType).toSorted();
  };
  await cid.mustRun(`cd "$HOME/.." && oras push ${OURS}/oras/app:one,two one`);
  for (const type of ['sbom', 'signature'])
    await cid.mustRun(`cd "$HOME/.." && oras attach --artifact-type test/${type} ${OURS}/oras/app:one other`);
  assert.deepEqual(await types('app'), ['test/sbom', 'test/signature']);
  // A client that was told of the referrers keeps no tag for them.
  assert.deepEqual((await dev.mustRun(`oras repo tags ${OURS}/oras/app`)).trim().split('\n'), ['one', 'two']);
  assert.match(await cid.mustRun(`oras copy -r ${OURS}/oras/app:one ${OURS}/oras/too:one`), /Mounted/);
  assert.deepEqual(await types('too'), ['test/sbom', 'test/signature']);
  await dev.mustRun(`mkdir "$HOME/oras" && cd "$HOME/oras" && oras pull ${OURS}/oras/too:one`);
  await dev.mustRun('cmp "$HOME/oras/one" "$HOME/../one"');

  const found = await rel.mustRun(
    `oras discover --artifact-type test/sbom --format json ${OURS}/oras/too:one`,
  );
  const { referrers = [], manifests = referrers } = JSON.parse(found);
  const remove = `oras manifest delete --force ${OURS}/oras/too@${manifests[0].digest}`;
  assert.match(await cid.mustFail(remove), MAY_NOT_DELETE);
  await rel.mustRun(remove);
  assert.deepEqual(await types('too'), ['test/signature']);
  // oras deletes the digest of a tag, and with it every other tag.
  await rel.mustRun(`oras manifest delete --force ${OURS}/oras/app:one`);
  assert.equal((await dev.mustRun(`oras repo tags ${OURS}/oras/app`)).trim(), '');
});

test('regctl copies an image with its referrers, and deletes a tag alone', { skip }, async () => {
  const { cid, dev, rel } = people;
  await cid.mustRun(`regctl image copy mirror.corp/library/alpine ${OURS}/regctl/app:one`);
  const put = 'regctl artifact put --artifact-type test/sbom --subject';
  await cid.mustRun(`${put} ${OURS}/regctl/app:one < "$HOME/../one"`);
  await cid.mustRun(`regctl image copy --referrers ${OURS}/regctl/app:one ${OURS}/regctl/too:one`);
  await cid.mustRun(`regctl image copy ${OURS}/regctl/too:one ${OURS}/regctl/too:two`);
  assert.match(await dev.mustRun(`regctl artifact list ${OURS}/regctl/too:one`), /test\/sbom/);
  const pulled = await pulledDigest(people, 'acme-internal/regctl/too:two');
  assert.equal(pulled, (await dev.mustRun(`regctl image digest ${OURS}/regctl/app:one`)).trim());

  await rel.mustRun(`regctl tag delete ${OURS}/regctl/too:one`);
  assert.equal((await dev.mustRun(`regctl tag ls ${OURS}/regctl/too`)).trim(), 'two');
  await rel.mustRun(`regctl manifest delete --force-tag-dereference ${OURS}/regctl/too:two`);
  assert.match(await dev.mustFail(`crane manifest ${OURS}/regctl/too:two`), /manifest unknown/);
  // If the mirror refuses to delete a tag, regctl moves it to an empty image, which whoever pushes may do.
  assert.match(await cid.mustFail(`regctl tag delete ${OURS}/regctl/app:one`), MAY_NOT_DELETE);
  assert.notEqual(await dev.mustRun(`crane digest ${OURS}/regctl/app:one`), `${pulled}\n`);
  await world.hubgate.run('hosted', 'restore-tag', 'acme-internal/regctl/app:one');
  assert.equal(await pulledDigest(people, 'acme-internal/regctl/app:one'), pulled);
});

test('helm pushes a chart that somebody else pulls and shows', { skip }, async () => {
  const { cid, dev } = people;
  const pushed = await cid.mustRun(
    pushChart({ repository: 'acme-internal/helm/chart', tag: '1.2.3', file: 'one' }),
  );
  const [digest] = DIGEST.exec(pushed) ?? [];
  const chart = 'oci://mirror.corp/acme-internal/helm/chart --version 1.2.3';
  const pulled = await dev.mustRun(`cd "$HOME" && helm pull ${chart}`);
  assert.equal(DIGEST.exec(pulled)?.[0], digest);
  await dev.mustRun('tar xzOf "$HOME/chart-1.2.3.tgz" chart/one | cmp - "$HOME/../one"');
  assert.match(await dev.mustRun(`helm show chart ${chart}`), /name: chart/);
  assert.match(await dev.mustFail(`helm show chart ${chart}0`), /not found/);
});

const SIGN = 'cosign sign --key cosign.key --yes --tlog-upload=false';
const ATTEST = 'cosign attest --key cosign.key --yes --tlog-upload=false --type custom --predicate statement';
const VERIFY = '--key cosign.pub --insecure-ignore-tlog=true';

/** How each version keeps what it signs by default. */
for (const [tool, flags, tags] of [
  ['cosign', ' --use-signing-config=false', ['one']],
  ['cosign2', '', ['one', 'sha256-HEX.att', 'sha256-HEX.sig']],
] as const) {
  test(`${tool} signs and attests twice what is hosted, and somebody else verifies it`, {
    skip: skip || (await whyMissing(tool)),
  }, async () => {
    const { cid, dev, anonymous, rel } = people;
    const programs = [binariesOf(tool)];
    const at = (line: string) => `cd "$HOME/../keys" && export COSIGN_PASSWORD= && ${line}`;
    await cid.mustRun(
      at('rm -f cosign.* && cosign generate-key-pair && echo "{}" > statement').replace(
        'cd',
        'mkdir -p "$HOME/../keys" && cd',
      ),
      { programs },
    );
    const repository = `${OURS}/${tool}/app`;
    await cid.mustRun(`crane copy mirror.corp/library/alpine ${repository}:one`);
    const digest = (await cid.mustRun(`crane digest ${repository}:one`)).trim();
    const signed = `${repository}@${digest}`;
    assert.match(await dev.mustFail(at(`${SIGN}${flags} ${signed}`), { programs }), /you may not push/);
    assert.match(await anonymous.mustFail(at(`${SIGN}${flags} ${signed}`), { programs }), /DENIED/);
    const unsigned = at(`cosign verify ${VERIFY} ${repository}:one`);
    assert.match(await dev.mustFail(unsigned, { programs }), /no signatures found/);
    for (const line of [`${SIGN}`, `${SIGN} -a by=cid`, `${ATTEST}`, `${ATTEST}`])
      await cid.mustRun(at(`${line}${flags} ${signed}`), { programs });
    const verified = await dev.mustRun(at(`cosign verify ${VERIFY} ${repository}:one`), { programs });
    assert.match(verified, /"by":"cid"/);
    await dev.mustRun(at(`cosign verify-attestation ${VERIFY} --type custom ${repository}:one`), {
      programs,
    });
    const expected = tags.map((tag) => tag.replace('sha256-HEX', digest.replace(':', '-')));
    assert.deepEqual((await dev.mustRun(`crane ls ${repository}`)).trim().split('\n'), expected);
    await rel.mustRun(at(`cosign clean --force ${repository}:one`), { programs });
    assert.match(await dev.mustFail(unsigned, { programs }), /no signatures found/);
    assert.equal((await dev.mustRun(`crane ls ${repository}`)).trim(), 'one');
  });
}
