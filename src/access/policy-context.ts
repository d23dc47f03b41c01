import type { HostedNamespaces } from '../registry/repository.ts';
import type { SubjectForms } from './federated-pattern.ts';

/** The parts of the configuration on which the meaning of a policy depends. */
export interface PolicyContext {
  /** The forms in which the federations write their subjects. */
  readonly forms: SubjectForms;
  /** The namespaces of hosted repositories; absent if nothing is hosted. */
  readonly hosted?: HostedNamespaces | undefined;
  /** The names of the logins of directories; absent if they are not known. */
  readonly logins?: readonly string[] | undefined;
}
