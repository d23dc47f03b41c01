/** Why something failed, in words. Node's own messages begin with an error number and end with a system call. */

/** What of them people know by another name. */
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

/** Without the name of the file, which whoever asks has. */
export function reasonOf(error: unknown): string {
  const { code, message, syscall } = error as NodeJS.ErrnoException;
  if (code === undefined || syscall === undefined) return message;
  return REASONS[code] ?? /^\w+: (.*?), /.exec(message)?.[1] ?? message;
}

/** The failure of a system call that is behind an error, if one is. */
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
