import type { PartReader } from '../platform/yaml/yaml-schema.ts';
import { ACTIONS, type Action } from '../registry/action.ts';
import type { YamlPath } from './yaml-fault.ts';

/** Returns the key that says what an entry is about. An entry has exactly one. */
export function readAction(
  parts: PartReader,
  path: YamlPath,
  entry: { readonly [Key in Action]?: unknown },
): Action | undefined {
  const [action, second] = ACTIONS.filter((one) => entry[one] !== undefined);
  if (second !== undefined)
    parts.fault(
      [...path, second],
      `one entry is about one action, and this one has "${action}" already; ${second === 'push' || action === 'push' ? 'push includes pull, so remove one of them' : 'write another entry for it'}`,
      'key',
    );
  return second === undefined ? action : undefined;
}
