import { caFile } from './certificate-files.ts';
import { type CiLogin, type Job, TOKEN_VARIABLE } from './ci.ts';
import { explicitName } from './docker-auth.ts';
import type { KitRequest } from './kit.ts';

export function gitlabJob({ mirror, name }: KitRequest): Job {
  return {
    path: 'hubgate.gitlab-ci.yml',
    trust: {
      files: caFile(mirror, `/etc/docker/certs.d/${mirror.host}`),
      lines:
        mirror.ca === undefined
          ? []
          : [
              'ca.crt is for the docker that the jobs use: the runner’s machine, or the dind service, needs it at its place.',
            ],
    },
    text: (login) => job(mirror.host, explicitName(mirror), login),
    keep: [
      `Keep hubgate-token as the masked and protected variable ${TOKEN_VARIABLE}: Settings, CI/CD, Variables.`,
    ],
    claims: {
      project_path: name,
      namespace_path: name.slice(0, name.lastIndexOf('/')),
      ref: 'main',
      ref_type: 'branch',
    },
  };
}

function job(host: string, image: string, login: CiLogin): string {
  const idTokens =
    'audience' in login
      ? `  id_tokens:\n    ${TOKEN_VARIABLE}: { aud: ${JSON.stringify(login.audience)} }\n`
      : '';
  const user = 'audience' in login ? 'oidc' : login.user;
  return `pull:
${idTokens}  script:
    - printf %s "$${TOKEN_VARIABLE}" | docker login ${host} -u ${user} --password-stdin
    - docker pull ${image}
`;
}
