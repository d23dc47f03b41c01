/** One defence and the edit that removes it. */
export interface Mutant {
  /** The guarantee of the defence, as a sentence or a noun phrase. */
  readonly defence: string;
  /** The source file, relative to the checkout. */
  readonly file: string;
  /** The text to replace. It must occur exactly once in the file. */
  readonly find: string;
  /** The text without the defence. */
  readonly replace: string;
  /** The test files of which at least one must fail without the defence. */
  readonly tests: readonly string[];
}
