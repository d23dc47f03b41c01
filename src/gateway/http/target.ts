/** A path of visible ASCII characters, and nothing that a parser of URLs could take for a host or a fragment. */
const TARGET = /^\/(?!\/)[!"$-~]*$/;

/** Is a request's target one that something here could answer? Judged before any other parser sees it, because they throw. */
export function isOriginForm(target: string | undefined): boolean {
  return target !== undefined && TARGET.test(target);
}
