import { type AccessQuestion, decide, type Policy } from '../../access/policy.ts';
import { formatSubject, nameOf, parseWrittenSubject, type Subject } from '../../access/subject.ts';
import { subjectOfUser } from '../../auth/identity/user-subject.ts';
import type { Users } from '../../auth/identity/users-file.ts';
import { systemClock } from '../../platform/clock.ts';
import type { Tag } from '../../registry/reference.ts';
import type { Repository } from '../../registry/repository.ts';
import { OPERATOR } from '../operator-audit.ts';

/** The decision whether a promoter may pull or push one repository or tag. */
export type Judgement =
  | { readonly decision: 'allow'; readonly private: boolean; readonly rule?: string }
  | { readonly decision: 'deny'; readonly rule?: string; readonly because?: string };

/** The one for whom an image is promoted. */
export interface Promoter {
  /** The subject as the audit log names it. */
  readonly subject: string;
  judge(action: 'pull' | 'push', repository: Repository, tag?: Tag): Judgement;
}

/** Whoever can run commands in the home can read and write everything there, so no rule restricts them. */
export const OPERATING: Promoter = {
  subject: OPERATOR,
  judge: () => ({ decision: 'allow', private: true }),
};

/** Returns somebody whom the policy judges, or why nobody is called so. */
export function promoterOf(text: string, policy: Policy, users: Users): Promoter | string {
  const subject = accountOf(text, users);
  if (typeof subject === 'string') return subject;
  return {
    subject: formatSubject(subject),
    judge: (action, repository, tag) => {
      const image = tag === undefined ? { repository } : { repository, tag };
      const question: AccessQuestion = { action, subject, address: '', ...image, at: systemClock() };
      return decide(policy, question);
    },
  };
}

function accountOf(text: string, users: Users): Subject | string {
  const subject = parseWrittenSubject(text);
  if (subject === undefined || subject.kind === 'anonymous')
    return `--as "${text}": no subject: a user, service:…, cert:… or oidc:…`;
  const name = nameOf(subject);
  if (name === undefined) return subject;
  const user = users.get(name);
  if (user === undefined) return `--as "${text}": nobody in users.yaml is called so`;
  if (user.isDisabled) return `--as "${text}": disabled in users.yaml`;
  return subjectOfUser(user);
}
