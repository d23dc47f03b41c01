import type { PolicyContext } from '../access/policy-context.ts';
import type { Config } from './config.ts';
import { subjectForms } from './federation.ts';
import { hostedNames } from './hosted.ts';

/** Returns what a policy beside this configuration can name. */
export function policyContext({
  federations,
  hosted,
  logins,
}: Pick<Config, 'federations' | 'hosted'> & Partial<Pick<Config, 'logins'>>): PolicyContext {
  return {
    forms: subjectForms(federations),
    hosted: hostedNames(hosted),
    logins: logins?.map(({ name }) => name),
  };
}
