#!/usr/bin/env node
import { Command, CommanderError, Option } from 'commander';
import packageJson from '../../package.json' with { type: 'json' };
import type { Role } from '../commands/prepare.ts';
import type { ExitCode } from '../commands/terminal.ts';

/** Each verb's file is loaded when it is called: a start of a role should cost no more than that role. */
function program(end: (code: ExitCode) => void): Command {
  const hubgate = new Command('hubgate')
    .description(packageJson.description)
    .version(packageJson.version)
    .exitOverride()
    .showHelpAfterError('(see hubgate --help)');
  const home = () =>
    new Option('--home <directory>', 'where config, certs, state and data are').default(
      process.cwd(),
      'here',
    );
  const json = () => new Option('--json', 'print data for programs').default(false);
  const passwordStdin = () =>
    new Option('--password-stdin', 'take the password from standard input').default(false);

  hubgate
    .command('start')
    .description('start the mirror; makes what is missing on the way')
    .addOption(home())
    .addOption(new Option('--role <role>', 'only this part').choices(['core', 'auth', 'gateway']))
    .addOption(new Option('--supervised').default(false).hideHelp())
    .action(async (options: { home: string; role?: Role; supervised: boolean }) => {
      const { start, startSupervised } = await import('../commands/start.ts');
      const { role } = options;
      end(await (options.supervised && role ? startSupervised(role, options.home) : start(options, process)));
    });

  hubgate
    .command('check')
    .description('say everything that is wrong with hubgate.yaml, access.yaml and users.yaml')
    .addOption(home())
    .addOption(json())
    .action(async (options: { home: string; json: boolean }) => {
      const { check } = await import('../commands/check.ts');
      end(await check(options, process.env, process));
    });

  const user = hubgate.command('user').description('the people who may log in');
  user
    .command('add <name>')
    .description('add a user')
    .addOption(passwordStdin())
    .addOption(home())
    .action(async (name: string, options: { home: string; passwordStdin: boolean }) => {
      const { addUser } = await import('../commands/user.ts');
      end(await addUser(name, options, process));
    });
  user
    .command('passwd <name>')
    .description('set another password')
    .addOption(passwordStdin())
    .addOption(home())
    .action(async (name: string, options: { home: string; passwordStdin: boolean }) => {
      const { changePassword } = await import('../commands/user.ts');
      end(await changePassword(name, options, process));
    });
  user
    .command('list')
    .description('list the users')
    .addOption(home())
    .addOption(json())
    .action(async (options: { home: string; json: boolean }) => {
      const { listUsers } = await import('../commands/user.ts');
      end(await listUsers(options, process));
    });
  user
    .command('remove <name>')
    .description('remove a user; it takes effect within a second')
    .addOption(home())
    .action(async (name: string, options: { home: string }) => {
      const { deleteUser } = await import('../commands/user.ts');
      end(await deleteUser(name, options, process));
    });

  const cache = hubgate.command('cache').description('what a running mirror keeps');
  cache
    .command('stats')
    .description('how much there is')
    .addOption(home())
    .addOption(json())
    .action(async (options: { home: string; json: boolean }) => {
      const { cacheStats } = await import('../commands/cache.ts');
      end(await cacheStats(options, process));
    });
  cache
    .command('list')
    .description('of which repositories')
    .addOption(home())
    .addOption(json())
    .action(async (options: { home: string; json: boolean }) => {
      const { cacheList } = await import('../commands/cache.ts');
      end(await cacheList(options, process));
    });
  cache
    .command('purge <repository>')
    .description('take a repository, repository:tag or repository@digest from the cache')
    .addOption(home())
    .addOption(json())
    .action(async (what: string, options: { home: string; json: boolean }) => {
      const { cachePurge } = await import('../commands/cache.ts');
      end(await cachePurge(what, options, process));
    });

  hubgate
    .command('upstream')
    .description('whether the upstreams answer, take the credential, and how much quota is left')
    .addOption(home())
    .addOption(json())
    .action(async (options: { home: string; json: boolean }) => {
      const { showUpstreams } = await import('../commands/upstream.ts');
      end(await showUpstreams(options, process));
    });
  return hubgate;
}

try {
  await program((code) => {
    process.exitCode = code;
  }).parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : 2;
  } else {
    process.stderr.write(`hubgate: ${(error as Error).message}\n`);
    process.exitCode = 1;
  }
}
// A channel to a supervisor would keep the process alive.
if (process.connected) process.disconnect?.();
