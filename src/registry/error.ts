/**
 * Every refusal that Hubgate can give, with its status, its code and its message. The codes are those of the
 * OCI distribution spec ("Error Codes"), and `UNKNOWN`, `UNAVAILABLE`, `TAG_INVALID` and `RANGE_INVALID` are
 * those that distribution's package `errcode` adds. A 401 with `DENIED` makes the client ask for a token with
 * more scope. The message never depends on whether anything exists: a refused and a missing repository look
 * alike.
 */
export const ERRORS = {
  UNAUTHORIZED: { status: 401, code: 'UNAUTHORIZED', message: 'authentication required' },
  BAD_CREDENTIALS: { status: 401, code: 'UNAUTHORIZED', message: 'incorrect username or password' },
  UNCONFIRMED_LOGIN: {
    status: 401,
    code: 'UNAUTHORIZED',
    message: 'your login must be confirmed on the account page of this mirror',
  },
  DIRECTORY_UNAVAILABLE: {
    status: 503,
    code: 'UNAVAILABLE',
    message: 'the directory does not answer; try again shortly',
  },
  INVALID_TOKEN: { status: 401, code: 'UNAUTHORIZED', message: 'this token is not valid, or not any longer' },
  INSUFFICIENT_SCOPE: { status: 401, code: 'DENIED', message: 'requested access to the resource is denied' },
  DENIED: { status: 403, code: 'DENIED', message: 'requested access to the resource is denied' },
  NAME_UNKNOWN: { status: 404, code: 'NAME_UNKNOWN', message: 'repository name not known to this mirror' },
  NAME_INVALID: { status: 400, code: 'NAME_INVALID', message: 'no repository can have this name' },
  DIGEST_INVALID: {
    status: 400,
    code: 'DIGEST_INVALID',
    message:
      'this is no digest; a digest is sha256: with 64 hexadecimal digits in lower case, or sha512: with 128',
  },
  TAG_INVALID: {
    status: 400,
    code: 'TAG_INVALID',
    message:
      'no tag can be written so; a tag has at most 128 letters, digits, _, . and -, and begins with none of the last two',
  },
  MANIFEST_UNKNOWN: { status: 404, code: 'MANIFEST_UNKNOWN', message: 'manifest unknown' },
  NOT_MIRRORED: {
    status: 404,
    code: 'MANIFEST_UNKNOWN',
    message: 'manifests of this type are not mirrored; pull this one from the registry itself',
  },
  BLOB_UNKNOWN: { status: 404, code: 'BLOB_UNKNOWN', message: 'blob unknown to this mirror' },
  BLOB_UPLOAD_UNKNOWN: {
    status: 404,
    code: 'BLOB_UPLOAD_UNKNOWN',
    message: 'blob upload unknown: it has ended, or it was never begun',
  },
  UPLOAD_OUT_OF_ORDER: {
    status: 416,
    code: 'BLOB_UPLOAD_INVALID',
    message: 'this chunk does not begin where the last one ended; the Range header says where that is',
  },
  SIZE_INVALID: {
    status: 400,
    code: 'SIZE_INVALID',
    message: 'the length of the body is not that of its Content-Range',
  },
  TOO_MANY_UPLOADS: {
    status: 429,
    code: 'TOOMANYREQUESTS',
    message: 'too many uploads are open at once; finish or cancel some of them',
  },
  MANIFEST_INVALID: { status: 400, code: 'MANIFEST_INVALID', message: 'the manifest is invalid' },
  MANIFEST_TOO_LARGE: {
    status: 413,
    code: 'MANIFEST_INVALID',
    message: 'a manifest has at most 4 MiB',
  },
  MANIFEST_BLOB_UNKNOWN: {
    status: 400,
    code: 'MANIFEST_BLOB_UNKNOWN',
    message: 'the manifest names content that the repository does not have',
  },
  TAG_IMMUTABLE: { status: 409, code: 'DENIED', message: 'this tag is immutable; push another tag' },
  BAD_REQUEST: { status: 400, code: 'UNSUPPORTED', message: 'the request is malformed' },
  UNSUPPORTED: {
    status: 405,
    code: 'UNSUPPORTED',
    message: 'this mirror serves pulls only; push to the registry itself',
  },
  RANGE_INVALID: { status: 416, code: 'RANGE_INVALID', message: 'the requested range lies outside the blob' },
  TOO_MANY_LOGINS: {
    status: 429,
    code: 'TOOMANYREQUESTS',
    message: 'too many logins at once; try again shortly',
  },
  TOO_MANY_REQUESTS: {
    status: 429,
    code: 'TOOMANYREQUESTS',
    message: 'too many requests at once; try again shortly',
  },
  TOO_MANY_DOWNLOADS: {
    status: 429,
    code: 'TOOMANYREQUESTS',
    message: 'too many of your downloads wait already; try again when some of them have ended',
  },
  TOO_MANY_PULLS: {
    status: 429,
    code: 'TOOMANYREQUESTS',
    message: 'the upstream registry limits the pulls of this mirror, and the mirror has no copy',
  },
  INTERNAL: { status: 500, code: 'UNKNOWN', message: 'the mirror failed; its log says why' },
  UPSTREAM_FAILED: {
    status: 502,
    code: 'UNAVAILABLE',
    message: 'the upstream registry cannot be reached or answers wrongly, and the mirror has no copy',
  },
  UNAVAILABLE: {
    status: 503,
    code: 'UNAVAILABLE',
    message: 'the mirror is starting or short of a part; try again',
  },
  UPSTREAM_TIMEOUT: {
    status: 504,
    code: 'UNAVAILABLE',
    message: 'the upstream registry does not answer in time, and the mirror has no copy',
  },
} as const satisfies Record<string, { status: number; code: string; message: string }>;

export type ErrorName = keyof typeof ERRORS;

export function isErrorName(text: string): text is ErrorName {
  return Object.hasOwn(ERRORS, text);
}

/**
 * Returns the body that the distribution spec prescribes. `message` replaces the table's message, not its
 * code.
 */
export function errorBody(name: ErrorName, message?: string): string {
  const { code, message: standard } = ERRORS[name];
  return `${JSON.stringify({ errors: [{ code, message: message ?? standard }] })}\n`;
}
