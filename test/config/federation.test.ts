import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import type { Environment } from '../../src/config/environment.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import { parseTemplate } from '../../src/config/subject-template.ts';
import { formatFault } from '../../src/platform/fault.ts';

let directory: string;

before(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-federation-'));
  await mkdir(path.join(directory, 'config'));
});

after(() => rm(directory, { recursive: true }));

async function load(federation: string, environment: Environment = {}) {
  await writeFile(path.join(directory, 'config', 'hubgate.yaml'), `federation:\n${federation}\n`);
  return loadConfig({ directory, environment, readsSecrets: true });
}

async function read(federation: string, environment: Environment = {}) {
  const loaded = await load(federation, environment);
  assert.ok('value' in loaded, 'faults' in loaded ? loaded.faults.map(formatFault).join('\n') : '');
  return { federations: loaded.value.federations, warnings: (loaded.warnings ?? []).map(formatFault) };
}

async function faultsOf(federation: string): Promise<string[]> {
  const loaded = await load(federation);
  return 'faults' in loaded ? loaded.faults.map(formatFault) : [];
}

const templateOf = (text: string) => {
  const template = parseTemplate(text);
  return 'template' in template ? template.template : assert.fail(template.wrong);
};

test('a federation is written out, or by a preset; none of the usual ones is warned of', async () => {
  const { federations, warnings } = await read(`
  own: { issuer: "https://issuer.corp/realm/", audience: mirror.corp, subject: "\${sub}" }
  github: { preset: github, audience: mirror.corp }
  gitlab: { preset: gitlab, audience: mirror.corp }
  gitlab.corp: { preset: gitlab, audience: mirror.corp, issuer: "https://gitlab.corp" }
  releases: { preset: github, audience: releases, subject: "\${repository_id}:\${environment}" }
  cluster: { issuer: "http://127.0.0.1:8001", audience: mirror, subject: "\${kubernetes.io/namespace}:\${kubernetes.io/serviceaccount/name}" }`);
  assert.deepEqual(warnings, []);
  assert.deepEqual(federations, [
    {
      name: 'own',
      issuer: 'https://issuer.corp/realm/',
      audience: 'mirror.corp',
      subject: [{ claim: ['sub'] }],
    },
    {
      name: 'github',
      issuer: 'https://token.actions.githubusercontent.com',
      audience: 'mirror.corp',
      subject: [{ claim: ['repository'] }, { text: '@' }, { claim: ['ref'] }],
    },
    {
      name: 'gitlab',
      issuer: 'https://gitlab.com',
      audience: 'mirror.corp',
      subject: templateOf('${project_path}@${ref_type}/${ref}'),
    },
    {
      name: 'gitlab.corp',
      issuer: 'https://gitlab.corp',
      audience: 'mirror.corp',
      subject: templateOf('${project_path}@${ref_type}/${ref}'),
    },
    {
      name: 'releases',
      issuer: 'https://token.actions.githubusercontent.com',
      audience: 'releases',
      subject: templateOf('${repository_id}:${environment}'),
    },
    {
      name: 'cluster',
      issuer: 'http://127.0.0.1:8001',
      audience: 'mirror',
      subject: [
        { claim: ['kubernetes.io', 'namespace'] },
        { text: ':' },
        { claim: ['kubernetes.io', 'serviceaccount', 'name'] },
      ],
    },
  ]);
});

test('a subject in which claims could not be told apart is refused', async () => {
  const subject = (text: string) => faultsOf(`  f: { preset: github, audience: a, subject: "${text}" }`);
  assert.match((await subject('${repository}${ref}'))[0] ?? '', /nothing between them cannot be told apart/);
  assert.match((await subject('${repository}@${ref}${sha}'))[0] ?? '', /cannot be told apart/);
  assert.match((await subject('${repository}*${ref}'))[0] ?? '', /in a policy it is a wildcard/);
  assert.deepEqual(await subject('${repository}@${ref}:${sha}'), []);
});

test('what is wrong with federations comes at once; without an audience there is none', async () => {
  assert.deepEqual(
    await faultsOf(`
  github: { preset: github }
  Bad@Name: { preset: github, audience: a }
  empty: { preset: github, audience: "" }
  other: { preset: bitbucket, audience: b }
  plain: { issuer: "http://issuer.corp", audience: c, subject: "\${sub}" }
  query: { issuer: "https://issuer.corp?x", audience: d, subject: "\${sub}" }
  spaced: { issuer: " https://issuer.corp", audience: d, subject: "\${sub}" }
  user: { issuer: "https://me@issuer.corp", audience: d, subject: "\${sub}" }
  bare: { audience: e }
  text: { preset: github, audience: f, subject: "\${repository" }
  space: { preset: github, audience: g, subject: "\${repository} \${ref}" }
  nameless: { preset: github, audience: h, subject: "\${repository/}" }
  nothing: { preset: github, audience: i, subject: "" }
  twin: { preset: github, audience: a, secret: x }
  again: { preset: github, audience: a }`),
    [
      'config/hubgate.yaml:3:11: "federation.github.audience" is missing; expected the audience that tokens for this mirror have, such as mirror.corp',
      'config/hubgate.yaml:4:3: "Bad@Name" is no name of a federation (lower-case letters, digits and ._-)',
      'config/hubgate.yaml:5:38: federation.empty.audience: found "", expected the audience that tokens for this mirror have, such as mirror.corp',
      'config/hubgate.yaml:6:20: federation.other.preset: found "bitbucket", expected one of github, gitlab',
      'config/hubgate.yaml:7:20: federation.plain.issuer: found "http://issuer.corp", expected the https address of an issuer, as its tokens write it (http on loopback only); write https://issuer.corp',
      'config/hubgate.yaml:8:20: federation.query.issuer: found "https://issuer.corp?x", expected the https address of an issuer, as its tokens write it (http on loopback only)',
      'config/hubgate.yaml:9:21: federation.spaced.issuer: found " https://issuer.corp", expected the https address of an issuer, as its tokens write it (http on loopback only); write https://issuer.corp',
      'config/hubgate.yaml:10:19: federation.user.issuer: found "https://me@issuer.corp", expected the https address of an issuer, as its tokens write it (http on loopback only)',
      'config/hubgate.yaml:11:3: bare needs an issuer, or a preset',
      'config/hubgate.yaml:11:3: bare needs a subject, or a preset',
      'config/hubgate.yaml:12:49: expected a text with claims in it, such as ${repository}@${ref}',
      'config/hubgate.yaml:13:50: a subject holds no spaces and no control characters',
      'config/hubgate.yaml:14:53: a claim between ${ and } has no name',
      'config/hubgate.yaml:15:52: expected a text with claims in it, such as ${repository}@${ref}',
      'config/hubgate.yaml:16:40: unknown key "federation.twin.secret"; known here: preset, issuer, audience, subject',
      'config/hubgate.yaml:17:38: "Bad@Name" has the same issuer and audience; no token could tell which of them it is for',
    ],
  );
});

test('a template that any project could satisfy is warned of, and a claim that its issuer does not make', async () => {
  const own = (subject: string) => `{ issuer: "https://issuer.corp", audience: m, subject: "${subject}" }`;
  const github = (subject: string) => `{ preset: github, audience: m, subject: "${subject}" }`;
  const gitlab = (subject: string) => `{ preset: gitlab, audience: m, subject: "${subject}" }`;
  const open: [federation: string, warning: RegExp][] = [
    [github('${ref}'), /any project/],
    [github('${actor}@${ref}'), /any project/],
    [github('acme/payments@main'), /any project/],
    [github('${job_workflow_ref}'), /any project/],
    [own('${aud}:${ref}'), /any project/],
    [own('constant'), /any project/],
    [gitlab('${job_project_path}@${ref}'), /any project/],
    [github('${repositry}@${ref}'), /claim "repositry"/],
    [gitlab('${repository}@${ref}'), /claim "repository"/],
    [
      '{ issuer: "https://token.actions.githubusercontent.com", audience: m, subject: "${ref}" }',
      /any project/,
    ],
    [gitlab('${project_path}/${ref}'), /can be a part of its name/],
  ];
  for (const [federation, warning] of open) {
    const { warnings } = await read(`  f: ${federation}`);
    assert.equal(warnings.length, 1, federation);
    assert.match(warnings[0] ?? '', warning, federation);
    assert.match(warnings[0] ?? '', /^config\/hubgate\.yaml:2:\d+: /);
  }
  for (const federation of [
    own('${sub}'),
    own('${team}'),
    github('${repository_owner}'),
    github('${sub}'),
    github('${repository}'),
    github('gh/${repository}'),
    gitlab('${project_id}:${ref_protected}/${ref}'),
  ])
    assert.deepEqual((await read(`  f: ${federation}`)).warnings, [], federation);
});

test('a federation’s settings can come from the environment', async () => {
  const { federations } = await read('  github: { preset: github }', {
    HUBGATE_FEDERATION_GITHUB_AUDIENCE: 'mirror.corp',
  });
  assert.equal(federations[0]?.audience, 'mirror.corp');
});
