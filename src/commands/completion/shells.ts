/** The shells that `completion` knows, apart from what makes their scripts: the command line loads no more than the names. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const;

export type Shell = (typeof SHELLS)[number];
