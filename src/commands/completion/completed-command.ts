/** A command as the completion of a shell knows it. */
export interface CompletedCommand {
  readonly name: string;
  readonly description: string;
  readonly commands: readonly CompletedCommand[];
  readonly options: readonly CompletedOption[];
  readonly arguments: readonly CompletedValue[];
}

export interface CompletedOption {
  /** The flags with their dashes, the long one first. */
  readonly flags: readonly string[];
  readonly description: string;
  /** Absent if the option takes no value. */
  readonly value?: CompletedValue;
}

export type CompletedValue =
  | { readonly kind: 'choices'; readonly choices: readonly string[] }
  | { readonly kind: 'file' | 'directory' | 'text' };
