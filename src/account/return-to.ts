/** A path of a page, perhaps with the code of a device. */
const PAGE = /^\/account\/[a-z/-]*(?:\?[\w=&-]*)?$/;

/** Returns where a login leads: only to a page below `/account/`, whatever a link says. */
export function parseReturnTo(text: string | null | undefined): string {
  return text != null && text.length <= 200 && PAGE.test(text) && !text.includes('//') ? text : '/account/';
}
