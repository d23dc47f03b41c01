/** The known facts about an issuer that most projects use. */
export interface FederationPreset {
  readonly issuer: string;
  readonly subject: string;
  /** The claims of which a certain value belongs to only one project, or to one owner of projects. */
  readonly identifying: ReadonlySet<string>;
  /** All other claims of the issuer. */
  readonly others: ReadonlySet<string>;
}

const STANDARD = ['iss', 'aud', 'exp', 'iat', 'nbf', 'jti'];

/**
 * The name of a repository contains no `@`, and `ref` says in full whether it is a branch or a tag. The name
 * of a branch can contain `@`, but it is the last claim, so the first `@` is always the template's.
 * `job_workflow_ref` is that of a workflow that any repository may call.
 *
 * https://docs.github.com/actions/reference/openid-connect-reference
 */
const GITHUB: FederationPreset = {
  issuer: 'https://token.actions.githubusercontent.com',
  subject: '${repository}@${ref}',
  identifying: words(`sub repository repository_id repository_owner repository_owner_id workflow_ref`),
  others:
    words(`${STANDARD.join(' ')} actor actor_id base_ref check_run_id enterprise enterprise_id environment
    environment_node_id event_name head_ref job_workflow_ref job_workflow_sha ref ref_protected ref_type
    repository_visibility run_attempt run_id run_number runner_environment sha workflow workflow_sha`),
};

/**
 * GitLab's `ref` is a short name that a tag and a branch can share, so `ref_type` is needed too; the path of
 * a project contains no `@`. `project_path` is the project whose code runs, even if a merge request from a
 * fork is built in the target project; `job_project_path` is the target project, and says nothing about the
 * code.
 *
 * https://docs.gitlab.com/ci/secrets/id_token_authentication,
 * https://gitlab.com/gitlab-org/gitlab/-/issues/563038
 */
const GITLAB: FederationPreset = {
  issuer: 'https://gitlab.com',
  subject: '${project_path}@${ref_type}/${ref}',
  identifying: words(`sub project_path project_id namespace_path namespace_id`),
  others:
    words(`${STANDARD.join(' ')} ci_config_ref_uri ci_config_sha deployment_tier environment environment_action
    environment_protected groups_direct job_id job_namespace_id job_namespace_path job_project_id job_project_path
    job_source pipeline_id pipeline_source pipeline_source_event project_visibility ref ref_path ref_protected ref_type
    runner_environment runner_id sha target_ref target_ref_protected user_access_level user_email user_id
    user_identities user_login`),
};

export const PRESET_NAMES = ['github', 'gitlab'] as const;

export const PRESETS: Readonly<Record<(typeof PRESET_NAMES)[number], FederationPreset>> = {
  github: GITHUB,
  gitlab: GITLAB,
};

/** Claims that identify no project, whatever the issuer. */
export const COMMON_CLAIMS: ReadonlySet<string> = new Set([...GITHUB.others, ...GITLAB.others]);

function words(text: string): ReadonlySet<string> {
  return new Set(text.split(/\s+/));
}
