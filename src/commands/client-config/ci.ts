import type { Federation } from '../../config/federation.ts';
import { type FederationPreset, PRESETS } from '../../config/federation-preset.ts';
import { claimsOf, type SubjectTemplate } from '../../config/subject-template.ts';
import { explicitName } from './docker-auth.ts';
import {
  type ClientKit,
  explicitAuditLine,
  type KitAccount,
  type KitMirror,
  type KitRefusal,
  type KitRequest,
} from './kit.ts';

export type Provider = 'github' | 'gitlab';

/** The variable in which a job keeps its token if it is not federated. */
export const TOKEN_VARIABLE = 'HUBGATE_TOKEN';
const TOKEN_FILE = 'hubgate-token';

/** The facts about a job, whatever its login. */
export interface Job {
  /** The path of the workflow's file. */
  readonly path: string;
  readonly text: (login: CiLogin) => string;
  /**
   * The files and lines that make the job's docker trust the mirror, if the workflow does not do it itself.
   */
  readonly trust: { readonly files: ClientKit['files']; readonly lines: readonly string[] };
  /** The lines that say how the token of a service account gets to the job. */
  readonly keep: readonly string[];
  /** The claims that a job of this project has on its main branch. */
  readonly claims: Readonly<Record<string, string>>;
}

/** The login is a JWT for an audience, or the token of a service account in a variable of the CI. */
export type CiLogin = { readonly audience: string } | { readonly user: string };

/** Finds the federation of this CI: by its issuer, by its name, or by the claims that only this CI makes. */
export function federationOf(provider: Provider, federations: readonly Federation[]): Federation | undefined {
  const preset: FederationPreset = PRESETS[provider];
  const other: FederationPreset = PRESETS[provider === 'github' ? 'gitlab' : 'github'];
  const isOwn = (claim: string) =>
    claim !== 'sub' && preset.identifying.has(claim) && !other.identifying.has(claim);
  return (
    federations.find(({ issuer }) => issuer === preset.issuer) ??
    federations.find(({ name }) => name === provider) ??
    federations.find(({ subject }) => claimsOf(subject).some(isOwn))
  );
}

const PROJECT = /^[A-Za-z0-9][A-Za-z0-9._-]*(?:\/[A-Za-z0-9._-]+)+$/;

/**
 * Makes the kit for jobs that log in with a JWT of their CI, so that no secret is stored. `name` is the
 * project.
 */
export function federatedKit(
  { mirror, name }: KitRequest,
  job: Job,
  federation: Federation,
): ClientKit | KitRefusal {
  if (!PROJECT.test(name))
    return {
      refusal: `"${name}" is no project such as acme/payments: with the federation ${federation.name} a job is known by its project, and needs no account`,
      code: 2,
    };
  const subject = `oidc:${federation.name}:${fillIn(federation.subject, job.claims)}`;
  return {
    credential: 'none',
    subject,
    files: [{ path: job.path, mode: 0o644, content: { text: job.text(federation) } }, ...job.trust.files],
    notes: {
      merge: [
        `Take the login into the jobs of ${name} that pull. On the main branch they are`,
        `  ${subject}`,
        'to which a rule of access.yaml may grant something:',
        `  - { pull: library/**, to: "${subject}" }`,
        ...(subject.includes('${') ? ['What ${…} stands for is a claim of the job’s JWT.'] : []),
        ...job.trust.lines,
      ],
      reload: ['nothing; there is no secret to renew'],
      check: [`hubgate access explain '${subject}' library/alpine`, explicitAuditLine(`'${subject}'`)],
      notReached: [
        'Jobs of other projects, branches and tags: each is a subject of its own.',
        'A job that goes on for longer than its JWT lives, some minutes with GitHub, logs in again before it pulls.',
        ...explicitLines(mirror),
      ],
      fallback: ['The pull fails. Nothing else is asked for a name that begins with the mirror’s.'],
    },
  };
}

/** Makes the kit for jobs that log in with the token of a service account, which the CI stores. */
export function tokenKit(
  { mirror, name }: KitRequest,
  job: Job,
  provider: Provider,
  account: KitAccount | undefined,
): ClientKit | KitRefusal {
  if (account !== 'service')
    return {
      refusal:
        `there is no federation for ${provider} in hubgate.yaml, and no service account ${name}. Keyless: add ` +
        `federation: { ${provider}: { preset: ${provider}, audience: ${mirror.host} } }; with a token: hubgate user add NAME --service`,
    };
  return {
    credential: 'token',
    subject: `service:${name}`,
    files: [
      { path: job.path, mode: 0o644, content: { text: job.text({ user: name }) } },
      { path: TOKEN_FILE, mode: 0o600, content: { withToken: (token) => `${token}\n` } },
      ...job.trust.files,
    ],
    notes: {
      merge: ['Add the login to the jobs that pull.', ...job.keep, ...job.trust.lines],
      reload: ['nothing; set another token before this one ends'],
      check: ['run a job', explicitAuditLine(`service:${name}`)],
      notReached: [
        'Whoever can read the token acts as the account, in any project; with a federation each project has its own subject.',
        ...explicitLines(mirror),
      ],
      fallback: ['The pull fails. Nothing else is asked for a name that begins with the mirror’s.'],
    },
  };
}

/** Fills the claims into the template. A part for which no claim is known stays as it is. */
function fillIn(template: SubjectTemplate, claims: Job['claims']): string {
  return template
    .map((part) => {
      if ('text' in part) return part.text;
      const claim = part.claim.join('/');
      return claims[claim] ?? `\${${claim}}`;
    })
    .join('');
}

function explicitLines(mirror: KitMirror): string[] {
  return [
    `Images that are named without ${mirror.host}/, as in FROM alpine: write ${explicitName(mirror)}, or configure the runner’s daemon.`,
  ];
}
