import type { Argument, Command } from 'commander';
import type { ExitCode, Terminal } from '../launch/terminal.ts';
import { OPTIONS, type OptionName, type OptionValues } from './options.ts';

/** The terminal and the environment that a verb reads and writes, besides the home. */
export interface CommandContext {
  readonly terminal: Terminal;
  readonly environment: Readonly<NodeJS.ProcessEnv>;
}

/** One call of a verb. */
interface Call<Options> extends CommandContext {
  readonly options: Options;
  /** The arguments, in the order of the usage. */
  readonly names: readonly string[];
}

type Run<Options> = (call: Call<Options>) => ExitCode | Promise<ExitCode>;

interface VerbDefinition<Names extends readonly OptionName[]> {
  /** The name and the arguments, as Commander reads them. */
  readonly usage: string;
  readonly description: string;
  readonly options: Names;
  /** An argument that the usage does not contain, because it has choices. */
  readonly argument?: () => Argument;
  /** The verbs that follow the name of this one. */
  readonly verbs?: readonly Verb[];
  /** Loads the code, which no other verb needs. */
  readonly load: () => Promise<Run<OptionValues<Names[number]>>>;
}

/** A verb that runs in a home. */
export interface Verb extends Omit<VerbDefinition<readonly OptionName[]>, 'load'> {
  readonly run: (command: Command, names: readonly string[], context: CommandContext) => Promise<ExitCode>;
}

/** A word that only verbs follow. */
export interface VerbGroup {
  readonly name: string;
  readonly description: string;
  readonly verbs: readonly Verb[];
}

/** Describes a verb. The types of its options follow from their names. */
export function verb<const Names extends readonly OptionName[]>(definition: VerbDefinition<Names>): Verb {
  const { load, ...rest } = definition;
  return {
    ...rest,
    run: async (command, names, context) => {
      const options = command.optsWithGlobals<OptionValues<Names[number]>>();
      return (await load())({ options, names, ...context });
    },
  };
}

/** The context that the verbs of one command line share. */
export interface CommandLine extends CommandContext {
  /** Called with the home before a verb runs. */
  readonly inHome: (home: string) => void;
  /** It is called with the exit code of the verb. */
  readonly end: (code: ExitCode) => void;
}

/** Adds verbs to a command. The code of each is loaded when it is called. */
export function addVerbs(parent: Command, verbs: readonly Verb[], line: CommandLine): void {
  const { inHome, end, terminal, environment } = line;
  for (const { usage, description, options, argument, verbs: below = [], run } of verbs) {
    const command = parent.command(usage).description(description);
    if (argument !== undefined) command.addArgument(argument());
    for (const name of options) command.addOption(OPTIONS[name].make());
    command.action(async () => {
      inHome(command.optsWithGlobals<{ home: string }>().home);
      end(await run(command, command.args, { terminal, environment }));
    });
    addVerbs(command, below, line);
  }
}

/** Adds words that only verbs follow. */
export function addGroups(parent: Command, groups: readonly VerbGroup[], line: CommandLine): void {
  for (const { name, description, verbs } of groups)
    addVerbs(parent.command(name).description(description), verbs, line);
}
