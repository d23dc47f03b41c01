/**
 * The names of the shells that `completion` knows. They are in a file of their own, so that the command line
 * does not load the code of the scripts.
 */
export const SHELLS = ['bash', 'zsh', 'fish'] as const;

export type Shell = (typeof SHELLS)[number];
