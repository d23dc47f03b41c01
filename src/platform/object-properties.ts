/** Reads properties of values of unknown shape, such as parsed JSON. */

export function isObject(value: unknown): value is Readonly<Record<PropertyKey, unknown>> {
  return typeof value === 'object' && value !== null;
}

/** Returns undefined if the value is not an object, or has no such property. */
export function propertyOf(value: unknown, key: PropertyKey): unknown {
  return isObject(value) ? value[key] : undefined;
}
