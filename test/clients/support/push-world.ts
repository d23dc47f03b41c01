import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { attestedImage } from './images.ts';
import { type Machine, trustAsPrinted } from './machine.ts';
import { MIRROR } from './network.ts';
import { type Node, nodeOf } from './node.ts';
import { PASSWORD, startWorld, type World } from './world.ts';

/** The shortest life that a token can have where something is hosted. */
const CONFIGURATION = `token: { lifetime: 60s }
hosted:
  namespaces:
    "acme-internal/**": { immutableTags: ["9.*"] }
    "small/**": { quota: 1MiB }
`;

const ALLOW = `  - { id: ci, push: [acme-internal/**, small/**], to: cid }
  - { id: dev, pull: [acme-internal/**], to: [dev, rel] }
  - { id: release, delete: acme-internal/**, to: rel }
`;

const PEOPLE = ['cid', 'dev', 'rel'] as const;

/** `cid` pushes, `dev` pulls, and `rel` pulls and deletes. `anonymous` has no login. */
type Person = (typeof PEOPLE)[number] | 'anonymous';

/** The persons on a machine, who each work in a home of their own. */
export type People = Readonly<Record<Person, Node>>;

interface Tools {
  readonly programs: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts a mirror with hosted repositories. */
export async function startPushWorld(): Promise<World> {
  const world = await startWorld({ configuration: CONFIGURATION, allow: ALLOW });
  for (const name of PEOPLE) await world.hubgate.addUser(name, PASSWORD);
  world.hub.docker.push('library/alpine', 'latest', await attestedImage('alpine'));
  return world;
}

/** Makes a machine that trusts the mirror. */
export async function pushMachine(world: World, name: string): Promise<Machine> {
  const machine = await world.machine(name);
  await trustAsPrinted(machine, await world.kit(machine, 'crane', 'ana'));
  return machine;
}

/** Gives each person a home with the login of docker, which all these tools read. */
export async function peopleOn(machine: Machine, { programs, env = {} }: Tools): Promise<People> {
  const homeOf = async (name: Person): Promise<Node> => {
    const home = path.join(machine.root, 'people', name);
    await mkdir(path.join(home, '.docker'), { recursive: true });
    const auth = Buffer.from(`${name}:${PASSWORD}`).toString('base64');
    const login = { auths: name === 'anonymous' ? {} : { [MIRROR]: { auth } } };
    await writeFile(path.join(home, '.docker/config.json'), JSON.stringify(login));
    return nodeOf(machine, {
      programs,
      env: { ...env, HOME: home },
      [Symbol.asyncDispose]: async () => {},
    });
  };
  const [cid, dev, rel, anonymous] = await Promise.all(
    (['cid', 'dev', 'rel', 'anonymous'] as const).map(homeOf),
  );
  assert.ok(cid && dev && rel && anonymous);
  // Two small files that differ, and one that the quota has no room for.
  for (const [file, bytes] of [
    ['one', 1000],
    ['other', 1000],
    ['large', 3_000_000],
  ] as const)
    await cid.mustRun(
      `cd "$HOME/.." && head -c ${bytes} /dev/urandom > ${file} && tar cf ${file}.tar ${file}`,
    );
  return { cid, dev, rel, anonymous };
}

/** The path of the repository, its tag, and the file that the image is made of. */
export interface PushedImage {
  readonly repository: string;
  readonly tag: string;
  readonly file: 'one' | 'other' | 'large';
}

/** A client, and the line by which it pushes an image that it makes of `$HOME/../FILE`. */
interface Pusher {
  readonly client: string;
  readonly push: (image: PushedImage) => string;
  /** What it prints instead of the words of the refusal. */
  readonly prints?: Readonly<Partial<Record<'anonymous' | 'quota', RegExp>>>;
}

const UNAUTHORIZED = /unauthorized/i;

/** Tests that the client prints why nothing is pushed. */
export function testRefusals(
  { client, push, prints = {} }: Pusher,
  people: () => People,
  skip: string | false,
): void {
  const hosted = `acme-internal/${client}/refused`;
  const cases: readonly (readonly [why: string, who: Person, image: PushedImage, words: RegExp])[] = [
    [
      'the right to push is missing',
      'dev',
      { repository: hosted, tag: 'new', file: 'other' },
      /you may not push to this repository/,
    ],
    [
      'nobody is logged in',
      'anonymous',
      { repository: hosted, tag: 'new', file: 'other' },
      prints.anonymous ?? UNAUTHORIZED,
    ],
    [
      'the name is mirrored',
      'cid',
      { repository: `library/${client}/refused`, tag: 'new', file: 'other' },
      /this name is mirrored, and serves pulls only; push to its own registry, or to/,
    ],
    [
      'the tag is immutable',
      'cid',
      { repository: hosted, tag: '9.0.0', file: 'other' },
      /the tag 9\.0\.0 is immutable since 20\S+ \(sha256:[0-9a-f]{64}\); push another tag/,
    ],
    [
      'the quota has no room',
      'cid',
      { repository: `small/${client}/refused`, tag: 'new', file: 'large' },
      prints.quota ??
        /the quota of small\/\*\* has no room for .* more: .* of 1\.0 MiB are used; delete images that nobody needs, or ask for more/,
    ],
  ];
  test(`${client} prints why nothing is pushed`, { skip }, async () => {
    await people().cid.mustRun(push({ repository: hosted, tag: '9.0.0', file: 'one' }));
    for (const [why, who, image, words] of cases)
      assert.match(await people()[who].mustFail(push(image)), words, why);
  });
}

/**
 * Returns the digest of a tag as somebody with the right to pull it gets it, and reads all of its content.
 */
export async function pulledDigest({ dev }: People, image: string): Promise<string> {
  await dev.mustRun(`crane pull --format oci ${MIRROR}/${image} "$HOME/${image}"`);
  return (await dev.mustRun(`crane digest ${MIRROR}/${image}`)).trim();
}
