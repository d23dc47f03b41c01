/** Matches a path of visible ASCII characters in which no URL parser can find a host or a fragment. */
const TARGET = /^\/(?!\/)[!"$-~]*$/;

/**
 * Tells whether an endpoint could answer a request's target. This check comes before any other parser,
 * because those throw.
 */
export function isOriginForm(target: string | undefined): boolean {
  return target !== undefined && TARGET.test(target);
}
