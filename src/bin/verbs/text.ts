import { Argument, type Command } from 'commander';
import { SHELLS, type Shell } from '../../commands/completion/shells.ts';
import type { SchemaName } from '../../commands/schema.ts';
import { completedCommand } from '../completed-command.ts';
import type { CommandLine } from '../verb.ts';

/** Adds the verbs that only print a text, and have no home and no options. */
export function addTextVerbs(hubgate: Command, { end, terminal }: CommandLine): void {
  hubgate
    .command('schema')
    .description('print the JSON Schema of a file, for editors')
    .addArgument(
      new Argument('<file>', 'the schema of access.yaml or of hubgate.yaml').choices(['access', 'config']),
    )
    .action(async (name: SchemaName) =>
      end((await import('../../commands/schema.ts')).printSchema(name, terminal)),
    );

  hubgate
    .command('migrate <file>')
    .description(
      'print the access.yaml that equals docker_auth’s rules, or the hubgate.yaml that equals a registry’s config.yml',
    )
    .action(async (file: string) =>
      end(await (await import('../../commands/migrate/migrate.ts')).migrate(file, terminal)),
    );

  hubgate
    .command('completion')
    .description('print the script that completes the verbs and options of hubgate in a shell')
    .addArgument(new Argument('<shell>', 'the shell').choices(SHELLS))
    .action(async (shell: Shell) => {
      const { printCompletion } = await import('../../commands/completion/completion.ts');
      end(printCompletion(shell, completedCommand(hubgate), terminal));
    });
}
