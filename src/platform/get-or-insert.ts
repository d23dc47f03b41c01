/** Stands for `Map.prototype.getOrInsertComputed`, which Node 24 does not have. */
export function getOrInsert<K, V extends object>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}
