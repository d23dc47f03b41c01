import { type CiLogin, type Job, TOKEN_VARIABLE } from './ci.ts';
import { explicitName } from './docker-auth.ts';
import type { KitMirror, KitRequest } from './kit.ts';

export function githubJob({ mirror, name }: KitRequest): Job {
  return {
    path: '.github/workflows/hubgate.yml',
    trust: { files: [], lines: [] },
    text: (login) => workflow(mirror, login),
    keep: [`gh secret set ${TOKEN_VARIABLE} < hubgate-token`],
    claims: { repository: name, repository_owner: name.split('/')[0] ?? name, ref: 'refs/heads/main' },
  };
}

function workflow(mirror: KitMirror, login: CiLogin): string {
  const { host } = mirror;
  const permissions = 'audience' in login ? '\n      id-token: write # the job may ask for its JWT' : '';
  return `name: Pull from the mirror
on: workflow_dispatch
jobs:
  pull:
    runs-on: ubuntu-latest
    permissions:
      contents: read${permissions}
    steps:
${trust(mirror)}      - name: Log in to the mirror
${'audience' in login ? federated(host, login.audience) : withSecret(host, login.user)}
      - run: docker pull ${explicitName(mirror)}
`;
}

/** GitHub's own runners are new for each job, so the job itself must install the CA. */
function trust({ host, ca }: KitMirror): string {
  if (ca === undefined) return '';
  const directory = `/etc/docker/certs.d/${host}`;
  const lines = ca.trimEnd().split('\n');
  return `      - name: Trust the mirror
        env:
          CA: |
${lines.map((line) => `            ${line}`).join('\n')}
        run: |
          sudo mkdir -p ${directory}
          printf %s "$CA" | sudo tee ${directory}/ca.crt
`;
}

/**
 * The audience is a part of a URL inside quotes of the shell. It is encoded, so that no character of it has a
 * meaning in either.
 */
function federated(host: string, audience: string): string {
  return `        run: |
          curl -sSf -H "Authorization: Bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN" \\
            "$ACTIONS_ID_TOKEN_REQUEST_URL&audience=${encodeURIComponent(audience)}" | jq -r .value |
            docker login ${host} -u oidc --password-stdin`;
}

function withSecret(host: string, user: string): string {
  return `        env:
          ${TOKEN_VARIABLE}: \${{ secrets.${TOKEN_VARIABLE} }}
        run: printf %s "$${TOKEN_VARIABLE}" | docker login ${host} -u ${user} --password-stdin`;
}
