import { formatSize } from '../../platform/size.ts';
import type { HostedSelects } from './hosted-statements.ts';
import type { HostedStep } from './hosted-step.ts';
import { type NamespaceRules, namespaceOf } from './namespace.ts';
import { type HostedRefusal, refuseWrite } from './refusal.ts';

/**
 * The quotas of the namespaces. The bytes of uploads under way count too, so that several at a time cannot
 * exceed a quota together.
 */
export class Quotas {
  readonly #namespaces: readonly NamespaceRules[];
  readonly #reserved = new Map<NamespaceRules, number>();

  constructor(namespaces: readonly NamespaceRules[]) {
    this.#namespaces = namespaces;
  }

  /** Reserves bytes in the namespace of a repository. The caller must release them. */
  *reserve(select: HostedSelects, repository: string, bytes: number): HostedStep<HostedRefusal | undefined> {
    const namespace = namespaceOf(repository, this.#namespaces);
    if (namespace === undefined) return undefined;
    const refusal = yield* this.#check(select, namespace, bytes);
    // Nothing runs between the check and this, whatever the database is.
    if (refusal === undefined) this.#add(namespace, bytes);
    return refusal;
  }

  release(repository: string, bytes: number): void {
    const namespace = namespaceOf(repository, this.#namespaces);
    if (namespace !== undefined) this.#add(namespace, -bytes);
  }

  /** Returns why the namespace of a repository cannot hold these bytes too; undefined if it can. */
  *whyFull(select: HostedSelects, repository: string, bytes: number): HostedStep<HostedRefusal | undefined> {
    const namespace = namespaceOf(repository, this.#namespaces);
    return namespace && (yield* this.#check(select, namespace, bytes));
  }

  *#check(
    select: HostedSelects,
    namespace: NamespaceRules,
    bytes: number,
  ): HostedStep<HostedRefusal | undefined> {
    const { name, quota } = namespace;
    if (quota === undefined) return undefined;
    const stored = (yield* select.used.get(name))?.bytes ?? 0;
    const used = stored + (this.#reserved.get(namespace) ?? 0);
    if (used + bytes <= quota && used < quota) return undefined;
    const why =
      used < quota
        ? `has no room for ${formatSize(bytes)} more: ${formatSize(used)} of ${formatSize(quota)} are used`
        : `is used up: ${formatSize(used)} of ${formatSize(quota)}`;
    const advice = 'delete images that nobody needs, or ask for more';
    return refuseWrite('DENIED', `the quota of ${name}/** ${why}; ${advice}`);
  }

  #add(namespace: NamespaceRules, bytes: number): void {
    this.#reserved.set(namespace, (this.#reserved.get(namespace) ?? 0) + bytes);
  }
}
