import type { PartReader } from '../platform/yaml/yaml-schema.ts';

export type YamlPath = readonly PropertyKey[];

/** Reports a fault in the place of a list that cannot be read. */
export function reportFault(parts: PartReader, path: YamlPath, message: string): [] {
  parts.fault(path, message);
  return [];
}

/** Returns where a value stands, as `file:line:column`. */
export function formatPlace(parts: PartReader, path: YamlPath, at: 'key' | 'value' = 'value'): string {
  const { source, line, column } = parts.yaml.faultAt(path, '', at);
  return [source, line, column].filter((part) => part !== undefined).join(':');
}
