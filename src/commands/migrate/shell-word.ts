/** Formats a file name as one word of a line that is pasted into a shell. */
export function formatShellWord(file: string): string {
  // A program would take a name that begins with `-` as an option.
  const path = file.startsWith('-') ? `./${file}` : file;
  return /^[A-Za-z0-9_.,:=@%+/-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
