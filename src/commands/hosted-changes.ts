import type { Environment } from '../config/environment.ts';
import { pathsIn } from '../config/home.ts';
import { loadOrPrint } from '../launch/load.ts';
import { type ExitCode, printJson, printLine, type Terminal } from '../launch/terminal.ts';
import { DELETED_HOSTED, RESTORED_TAG } from '../protocol/hosted-api.ts';
import { isDigest } from '../registry/digest.ts';
import { HOSTED } from '../registry/repository.ts';
import { askCore, type CoreCommandOptions } from './ask-role.ts';
import { OPERATOR, type OperatorAudit, openOperatorAudit } from './operator-audit.ts';

/** Undoes the last change of a tag. */
export async function hostedRestoreTag(
  what: string,
  options: CoreCommandOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const { repository, tag } = splitTag(what);
  if (tag === undefined) {
    printLine(terminal.stderr, `hubgate: "${what}" has no tag; write acme-internal/app:1.0`);
    return 2;
  }
  const started = performance.now();
  const opened = await openAuditOf(options, environment, terminal);
  if (opened === undefined) return 2;
  await using audit = opened;
  const body = { repository, tag };
  const path = '/hosted-repositories/restore-tag';
  const said = await askCore(options, { method: 'POST', path, body, schema: RESTORED_TAG }, terminal);
  if (typeof said === 'string') return nothingHosted(said, terminal);
  const { answer } = said;
  const isRestored = answer.kind === 'restored';
  await audit.write(
    {
      ...({ action: 'push', subject: OPERATOR, method: 'PUT', decision: 'allow' } as const),
      ...{ repository: `${HOSTED}/${repository}`, tag, status: isRestored ? 201 : 404 },
      ...(isRestored && { digest: answer.digest }),
      ...(isRestored && answer.previous !== null && { previous: answer.previous }),
    },
    started,
  );
  if (options.json) printJson(terminal.stdout, answer);
  else if (isRestored) printLine(terminal.stdout, `${what} means ${answer.digest} again`);
  else if (answer.kind === 'gone')
    printLine(terminal.stderr, `hubgate: ${answer.digest}, which ${what} meant before, has been removed`);
  else printLine(terminal.stderr, `hubgate: ${what} has no earlier digest`);
  return isRestored ? 0 : 1;
}

/** The status that the distribution API has for the outcome of a deletion. */
const STATUS = { removed: 202, unknown: 404, refused: 409 } as const;

/** Removes a tag, or a digest with its tags. */
export async function hostedDelete(
  what: string,
  options: CoreCommandOptions & { readonly force: boolean },
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const [repository = '', digest] = what.split('@', 2);
  const reference = digest ?? splitTag(what).tag;
  if (reference === undefined) {
    printLine(
      terminal.stderr,
      `hubgate: "${what}" has neither a tag nor a digest; write acme-internal/app:1.0`,
    );
    return 2;
  }
  const started = performance.now();
  const opened = await openAuditOf(options, environment, terminal);
  if (opened === undefined) return 2;
  await using audit = opened;
  const named = digest === undefined ? splitTag(what).repository : repository;
  const body = { repository: named, reference, force: options.force };
  const path = '/hosted-repositories/delete';
  const said = await askCore(options, { method: 'POST', path, body, schema: DELETED_HOSTED }, terminal);
  if (typeof said === 'string') return nothingHosted(said, terminal);
  const { answer } = said;
  await audit.write(
    {
      ...({ action: 'delete', subject: OPERATOR, method: 'DELETE', decision: 'allow' } as const),
      ...{ repository: `${HOSTED}/${named}`, status: STATUS[answer.kind] },
      ...(isDigest(reference) ? { digest: reference } : { tag: reference }),
      ...(answer.kind === 'removed' && answer.previous !== null && { previous: answer.previous }),
    },
    started,
  );
  if (options.json) printJson(terminal.stdout, answer);
  else if (answer.kind === 'removed') printLine(terminal.stdout, `${what} is deleted`);
  else if (answer.kind === 'unknown') printLine(terminal.stderr, `hubgate: there is no ${what} here`);
  else printLine(terminal.stderr, `hubgate: ${answer.why}; to delete it nevertheless, use --force`);
  return answer.kind === 'removed' ? 0 : 1;
}

/** Returns undefined after printing what is wrong with the configuration. */
async function openAuditOf(
  { home }: CoreCommandOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<OperatorAudit | undefined> {
  const config = await loadOrPrint(pathsIn(home), environment, terminal);
  return config && openOperatorAudit(config);
}

export function nothingHosted(said: 'none' | 'silent', { stderr }: Terminal): ExitCode {
  if (said === 'none')
    printLine(stderr, 'hubgate: nothing is hosted here; add a namespace to "hosted" in hubgate.yaml');
  return 1;
}

/** A name of a hosted repository has no port, so its last colon begins a tag. */
export function splitTag(what: string): { readonly repository: string; readonly tag: string | undefined } {
  const colon = what.lastIndexOf(':');
  return colon < 0
    ? { repository: what, tag: undefined }
    : { repository: what.slice(0, colon), tag: what.slice(colon + 1) };
}
