/**
 * A gateway and the account page agree on this path, these cookies and these headers. Nothing else crosses
 * between them, except for the method, the target and the body of a request, the login of SCIM, and the
 * decisions for the audit log.
 */

/** The path of the pages, and of everything below it. */
export const ACCOUNT_PATH = '/account';

/** The cookies of the page. Browsers accept this prefix only with `Secure`, `Path=/` and no other host. */
export const SESSION_COOKIE = '__Host-hubgate';
export const LOGIN_COOKIE = '__Host-hubgate-login';

/** The client's address, as the gateway determined it. */
export const ADDRESS_HEADER = 'hubgate-address';

/** The only headers of a request that the page gets. Of `cookie` it gets only its own cookies. */
export const HANDED_HEADERS = [
  'host',
  'origin',
  'sec-fetch-site',
  'sec-fetch-mode',
  'sec-fetch-dest',
  'content-type',
] as const;

/** The only headers of an answer that the page chooses. The gateway adds the others. */
export const ANSWERED_HEADERS = ['content-type', 'location', 'set-cookie'] as const;
