/**
 * Explains why an operation failed. Node's own messages begin with an error code and end with a system call.
 */

/** The descriptions of error codes that people understand better than Node's own. */
const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  ENOENT: 'there is no such file',
  EISDIR: 'it is a directory',
  ENOTDIR: 'what is above it is no directory',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the quota of the disk is used up',
  EROFS: 'the file system is read-only',
  EMFILE: 'this process has too many files open',
  EEXIST: 'it is there already',
  EXDEV: 'it is on another file system',
  ENOTEMPTY: 'it is a directory that is not empty',
};

/** Returns the reason without the file's name, which the caller knows. */
export function reasonOf(error: unknown): string {
  const message = messageOf(error);
  const code = errorCode(error);
  if (code === undefined || !(error instanceof Error && isSystemFailure(error))) return message;
  return REASONS[code] ?? /^\w+: (.*?), /.exec(message)?.[1] ?? message;
}

/** Returns the message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Returns whatever was thrown as an error. */
export function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

/** Returns the code that Node or a package gave an error, such as `ENOENT` or `UND_ERR_SOCKET`. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** Tells whether an error has one of these codes. */
export function isErrno(error: unknown, ...codes: readonly string[]): boolean {
  const code = errorCode(error);
  return code !== undefined && codes.includes(code);
}

/** Returns the failed system call that caused an error, if there is one. */
export function systemFailure(error: unknown): NodeJS.ErrnoException | undefined {
  for (let at = error; at instanceof Error; at = at.cause) if (isSystemFailure(at)) return at;
  return undefined;
}

function isSystemFailure(error: Error): error is NodeJS.ErrnoException {
  return 'syscall' in error && 'code' in error;
}

export function isPermissionDenied(error: unknown): boolean {
  return ['EACCES', 'EPERM'].includes(systemFailure(error)?.code ?? '');
}
