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

  /** True if the namespace of a repository has a quota. */
  isLimited(repository: string): boolean {
    return namespaceOf(repository, this.#namespaces)?.quota !== undefined;
  }

  /**
   * Reserves bytes in the namespace of a repository, and beyond them up to `ahead` more: at most half of what
   * is then left. Returns the reserved number, which the caller must release.
   */
  *reserve(
    select: HostedSelects,
    repository: string,
    bytes: number,
    ahead: number,
  ): HostedStep<number | HostedRefusal> {
    const namespace = namespaceOf(repository, this.#namespaces);
    const { quota } = namespace ?? {};
    if (namespace === undefined || quota === undefined) return bytes;
    const used = yield* this.#used(select, namespace);
    // No other code runs from here to the end, because this step asks the database nothing more.
    const refusal = whyNoRoom(namespace, used, bytes);
    if (refusal !== undefined) return refusal;
    const reserved = bytes + Math.min(ahead, Math.floor((quota - used - bytes) / 2));
    this.#add(namespace, reserved);
    return reserved;
  }

  release(repository: string, bytes: number): void {
    const namespace = namespaceOf(repository, this.#namespaces);
    if (namespace?.quota !== undefined) this.#add(namespace, -bytes);
  }

  /** Returns why the namespace of a repository cannot hold these bytes too; undefined if it can. */
  *whyFull(select: HostedSelects, repository: string, bytes: number): HostedStep<HostedRefusal | undefined> {
    const namespace = namespaceOf(repository, this.#namespaces);
    if (namespace?.quota === undefined) return undefined;
    return whyNoRoom(namespace, yield* this.#used(select, namespace), bytes);
  }

  *#used(select: HostedSelects, namespace: NamespaceRules): HostedStep<number> {
    const stored = (yield* select.used.get(namespace.name))?.bytes ?? 0;
    return stored + (this.#reserved.get(namespace) ?? 0);
  }

  #add(namespace: NamespaceRules, bytes: number): void {
    this.#reserved.set(namespace, (this.#reserved.get(namespace) ?? 0) + bytes);
  }
}

function whyNoRoom({ name, quota }: NamespaceRules, used: number, bytes: number): HostedRefusal | undefined {
  if (quota === undefined || (used + bytes <= quota && used < quota)) return undefined;
  const why =
    used < quota
      ? `has no room for ${formatSize(bytes)} more: ${formatSize(used)} of ${formatSize(quota)} are used`
      : `is used up: ${formatSize(used)} of ${formatSize(quota)}`;
  const advice = 'delete images that nobody needs, or ask for more';
  return refuseWrite('DENIED', `the quota of ${name}/** ${why}; ${advice}`);
}
