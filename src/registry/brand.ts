declare const brand: unique symbol;

/**
 * A `T` that went through one particular parser. Only the parser of a brand may cast to it, so that a
 * function which takes a `Digest` need not check again that it is one.
 */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };
