import type { Policy } from '../access/policy.ts';
import type { HostedConfig } from '../config/hosted.ts';
import type { Fault } from '../platform/fault.ts';
import { DOCKER_HUB } from '../registry/repository.ts';

/**
 * Finds hosted namespaces in which Docker Hub has repositories too, as far as this mirror knows: by the
 * repositories that are cached or were pulled, and by the rules. Clients that write no upstream would
 * suddenly get something else. `known` are canonical names.
 */
export function hostedCollisions(
  { namespaces }: HostedConfig,
  policy: Policy,
  known: ReadonlySet<string>,
  place: (namespace: string, message: string) => Fault,
): Fault[] {
  return namespaces.flatMap(({ name, shadow }): Fault[] => {
    if (shadow) return [];
    const prefix = `${DOCKER_HUB}/${name}/`;
    const mirrored = [...known].find((repository) => repository.startsWith(prefix));
    const rule = policy.data.rules.find(({ pull }) => pull.some((pattern) => pattern.startsWith(prefix)));
    const why =
      mirrored !== undefined
        ? `${mirrored} has been pulled here`
        : rule && `the rule "${rule.id}" is about ${prefix}…`;
    return why === undefined
      ? []
      : [
          place(
            name,
            `"${name}/**" is also a namespace of Docker Hub: ${why}; host another name, or write shadow: true`,
          ),
        ];
  });
}
