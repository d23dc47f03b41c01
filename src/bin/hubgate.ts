#!/usr/bin/env node
import { Argument, Command, CommanderError, Option } from 'commander';
import packageJson from '../../package.json' with { type: 'json' };
import { CLIENT_NAMES } from '../commands/client-config/client-names.ts';
import { SHELLS, type Shell } from '../commands/completion/shells.ts';
import type { SchemaName } from '../commands/schema.ts';
import type { Role } from '../config/home.ts';
import { type ExitCode, letReaderLeave, printText, type Terminal } from '../launch/terminal.ts';
import { completedCommand } from './completed-command.ts';
import { addHelp } from './help.ts';
import { OPTIONS } from './options.ts';

interface HomeOption {
  readonly home: string;
}

interface Printed extends HomeOption {
  readonly json: boolean;
}

interface Password extends HomeOption {
  readonly passwordStdin: boolean;
}

/** What a verb reads and writes besides the home. */
export interface Surroundings {
  readonly terminal: Terminal;
  readonly environment: Readonly<NodeJS.ProcessEnv>;
}

/**
 * Makes the command line. The file of each verb is loaded when the verb is called, so that a start of a role
 * loads only what that role needs.
 */
export function program(
  end: (code: ExitCode) => void,
  inHome: (home: string) => void = () => {},
  { terminal, environment }: Surroundings = { terminal: process, environment: process.env },
): Command {
  const hubgate = new Command('hubgate')
    .description(packageJson.description)
    .version(packageJson.version)
    .addOption(
      new Option('--home <directory>', 'where config, certs, state and data are')
        .default(process.cwd(), 'here')
        .env('HUBGATE_HOME'),
    )
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => printText(terminal.stdout, text.trimEnd()),
      writeErr: (text) => printText(terminal.stderr, text.trimEnd()),
    });

  /** Adds a verb that runs in a home. `run` receives the options and the arguments. */
  const verb = <Options extends HomeOption>(
    parent: Command,
    usage: string,
    description: string,
    options: readonly (keyof typeof OPTIONS)[],
    run: (options: Options, ...names: string[]) => Promise<ExitCode>,
  ) => {
    const command = parent.command(usage).description(description);
    for (const name of options) command.addOption(OPTIONS[name]());
    // Commander passes the arguments, the options, and the command itself.
    return command.action(async (...given: unknown[]) => {
      const names = given.slice(0, -2).flat() as string[];
      const options = command.optsWithGlobals<Options>();
      inHome(options.home);
      end(await run(options, ...names));
    });
  };

  verb<HomeOption & { role?: Role }>(
    hubgate,
    'start',
    'start the mirror; makes what is missing on the way',
    ['role'],
    async ({ home, role }) => {
      const { useCompileCache } = await import('../launch/compile-cache.ts');
      useCompileCache(home, role);
      const { start } = await import('../commands/start.ts');
      return start({ home, ...(role && { role }) }, terminal);
    },
  );
  verb<HomeOption & { role?: Role }>(
    hubgate,
    'prepare',
    'make what a start would make, and start nothing',
    ['role'],
    async (options) =>
      (await import('../launch/prepare-home.ts')).prepareHome(options, environment, terminal),
  );
  verb<Printed>(
    hubgate,
    'check',
    'say everything that is wrong with hubgate.yaml, access.yaml and users.yaml',
    ['json'],
    async (options) => (await import('../commands/check.ts')).check(options, environment, terminal),
  );
  const upstream = verb<Printed>(
    hubgate,
    'upstream',
    'whether the upstreams answer, take the credential, and how much quota is left',
    ['json'],
    async (options) => (await import('../commands/upstream.ts')).showUpstreams(options, terminal),
  );
  verb<Printed>(
    upstream,
    'check <host> [image]',
    'go the whole way to one upstream and say what happens at each step; an image costs a pull there',
    ['json'],
    async (options, host = '', image) =>
      (await import('../commands/check-upstream.ts')).checkUpstream(
        host,
        image,
        options,
        environment,
        terminal,
      ),
  );
  verb<Printed & { platform?: string[] }>(
    hubgate,
    'warm <images...>',
    'fetch images ahead, or those that files name (*.txt, - for standard input); goes on where it was when called again',
    ['platform', 'json'],
    async (options, ...images) =>
      (await import('../commands/warm/warm.ts')).warm(images, options, environment, terminal),
  );
  verb<
    Printed & {
      since: string;
      until?: string;
      subject?: string;
      repository?: string;
      denied: boolean;
      requests: boolean;
    }
  >(
    hubgate,
    'audit',
    'who pulled what, and what came of it',
    ['sinceADay', 'until', 'subject', 'repository', 'denied', 'requests', 'json'],
    async (options) => (await import('../commands/audit.ts')).showAudit(options, environment, terminal),
  );
  verb<Printed & { fromClient?: string; image: string }>(
    hubgate,
    'doctor',
    'find what is wrong with the mirror, or on a host that should pull through it, and say what to do',
    ['fromClient', 'image', 'json'],
    async (options) => (await import('../commands/doctor/doctor.ts')).doctor(options, environment, terminal),
  );
  verb<Printed & { for?: string; strict: boolean; out?: string; showSecrets: boolean }>(
    hubgate,
    'client-config',
    'issue and write what a client needs',
    ['for', 'strict', 'outTree', 'showSecrets', 'json'],
    async (options, client = '') => {
      const { clientConfig } = await import('../commands/client-config/client-config.ts');
      return clientConfig(client, options, environment, terminal);
    },
  ).addArgument(new Argument('<client>', 'the kind of client').choices(CLIENT_NAMES));
  hubgate
    .command('schema')
    .description('print the JSON Schema of a file, for editors')
    .addArgument(new Argument('<file>', 'which of the two').choices(['access', 'config']))
    .action(async (name: SchemaName) =>
      end((await import('../commands/schema.ts')).printSchema(name, terminal)),
    );

  hubgate
    .command('migrate <file>')
    .description(
      'print the access.yaml that equals docker_auth’s rules, or the hubgate.yaml that equals a registry’s config.yml',
    )
    .action(async (file: string) =>
      end(await (await import('../commands/migrate/migrate.ts')).migrate(file, terminal)),
    );

  hubgate
    .command('completion')
    .description('print what completes the verbs and options of hubgate in a shell')
    .addArgument(new Argument('<shell>', 'the shell').choices(SHELLS))
    .action(async (shell: Shell) => {
      const { printCompletion } = await import('../commands/completion/completion.ts');
      end(printCompletion(shell, completedCommand(hubgate), terminal));
    });

  const user = hubgate.command('user').description('the people who may log in');
  verb<Password & { service: boolean }>(
    user,
    'add <name>',
    'add a user, or a service account',
    ['passwordStdin', 'service'],
    async (options, name = '') => {
      return (await import('../commands/user.ts')).addUser(name, options, environment, terminal);
    },
  );
  verb<Password>(
    user,
    'passwd <name>',
    'set another password',
    ['passwordStdin'],
    async (options, name = '') => {
      return (await import('../commands/user.ts')).changePassword(name, options, environment, terminal);
    },
  );
  verb<HomeOption>(
    user,
    'disable <name>',
    'refuse a user from now on; it takes effect within a second',
    [],
    async (options, name = '') => {
      return (await import('../commands/user.ts')).disableUser(name, options, terminal);
    },
  );
  verb<HomeOption>(user, 'enable <name>', 'admit a disabled user again', [], async (options, name = '') => {
    return (await import('../commands/user.ts')).enableUser(name, options, terminal);
  });
  verb<HomeOption>(
    user,
    'import <file>',
    'add the users of an htpasswd file (bcrypt), all of them or none',
    [],
    async (options, file = '') => {
      return (await import('../commands/import-users.ts')).importUsers(file, options, terminal);
    },
  );
  verb<Printed>(user, 'list', 'list the users', ['json'], async (options) => {
    return (await import('../commands/user.ts')).listUsers(options, terminal);
  });
  verb<HomeOption>(
    user,
    'remove <name>',
    'remove a user; it takes effect within a second',
    [],
    async (options, name = '') => {
      return (await import('../commands/user.ts')).deleteUser(name, options, terminal);
    },
  );

  const token = hubgate.command('token').description('passwords for programs: service tokens');
  verb<Printed & { expires: string; pull?: string[]; from?: string[] }>(
    token,
    'create <owner>',
    'make a token, the password of docker login -u OWNER; prints it once',
    ['expires', 'pull', 'fromNetworks', 'json'],
    async (options, owner = '') =>
      (await import('../commands/token.ts')).createToken(owner, options, environment, terminal),
  );
  verb<Printed>(token, 'list', 'list tokens and remembered logins', ['json'], async (options) => {
    return (await import('../commands/token.ts')).listTokens(options, terminal);
  });
  verb<HomeOption>(
    token,
    'revoke <id>',
    'end a token or a remembered login',
    [],
    async (options, id = '') => {
      return (await import('../commands/token.ts')).revokeToken(id, options, terminal);
    },
  );

  const keys = hubgate.command('keys').description('the keys with which tokens are signed');
  verb<HomeOption>(keys, 'rotate', 'sign with a new one from now on', [], async (options) => {
    return (await import('../commands/keys.ts')).rotateKeys(options, terminal);
  });

  const cert = hubgate.command('cert').description('client certificates, for daemons and nodes');
  verb<HomeOption & { out?: string; days: string; csr?: string }>(
    cert,
    'issue <name>',
    'issue client.cert, client.key and ca.crt, for /etc/docker/certs.d/<host>/',
    ['out', 'days', 'csr'],
    async (options, name = '') => {
      return (await import('../commands/cert/issue.ts')).issueCert(name, options, terminal);
    },
  );
  verb<Printed>(cert, 'list', 'list what was issued or revoked', ['json'], async (options) => {
    return (await import('../commands/cert/list.ts')).listCerts(options, terminal);
  });
  verb<HomeOption>(
    cert,
    'revoke <which>',
    'revoke a name, a fingerprint, or the certificate in a file; it takes effect within a second',
    [],
    async (options, which = '') => {
      return (await import('../commands/cert/revoke.ts')).revokeCert(which, options, terminal);
    },
  );

  const access = hubgate.command('access').description('what the policy allows, and why');
  verb<Printed & { from?: string; at?: string; private: boolean }>(
    access,
    'explain <subject> <image>',
    'why a subject may pull a repository or repository:tag, or may not (exit code 1)',
    ['from', 'at', 'private', 'json'],
    async (options, who = '', what = '') => {
      return (await import('../commands/access/explain.ts')).explainAccess(
        who,
        what,
        options,
        environment,
        terminal,
      );
    },
  );
  verb<Printed & { private: boolean }>(
    access,
    'who-can <image>',
    'who may pull a repository or repository:tag; exit code 1: nobody',
    ['private', 'json'],
    async (options, what = '') => {
      return (await import('../commands/access/who-can.ts')).whoCanPull(what, options, environment, terminal);
    },
  );
  verb<Printed>(
    access,
    'test [files...]',
    'run the tests of the policy, or of these files as one; exit code 1: one fails',
    ['json'],
    async (options, ...files) => {
      return (await import('../commands/access/test.ts')).testAccess(files, options, environment, terminal);
    },
  );
  verb<Printed & { all: boolean }>(
    access,
    'diff <edited>',
    'what an edited file, or directory, would newly allow or deny of what is in the audit log; exit code 1: something',
    ['all', 'json'],
    async (options, edited = '') => {
      const { diffAccess } = await import('../commands/access/diff.ts');
      return diffAccess(edited, options, environment, terminal);
    },
  );
  verb<Printed & { since: string }>(
    access,
    'unused',
    'the rules that no audited pull needed',
    ['since', 'json'],
    async (options) => {
      const { listUnusedRules } = await import('../commands/access/unused.ts');
      return listUnusedRules(options, environment, terminal);
    },
  );

  const cache = hubgate.command('cache').description('what a running mirror keeps');
  verb<Printed>(cache, 'stats', 'how much there is', ['json'], async (options) => {
    return (await import('../commands/cache.ts')).cacheStats(options, terminal);
  });
  verb<Printed>(cache, 'list', 'of which repositories', ['json'], async (options) => {
    return (await import('../commands/cache.ts')).cacheList(options, terminal);
  });
  verb<Printed>(
    cache,
    'purge <image>',
    'take a repository, repository:tag or repository@digest from the cache',
    ['json'],
    async (options, what = '') => (await import('../commands/cache.ts')).cachePurge(what, options, terminal),
  );
  addHelp(hubgate);
  return hubgate;
}

async function main(): Promise<void> {
  letReaderLeave(process, ({ message }) => {
    printText(process.stderr, `hubgate: the output cannot be written: ${message}`);
    process.exit(1);
  });
  process.exitCode = await runProgram(process.argv.slice(2));
}

/** Runs the command that the arguments name, and prints the error that it throws. */
export async function runProgram(
  args: readonly string[],
  surroundings: Surroundings = { terminal: process, environment: process.env },
): Promise<ExitCode> {
  let code: ExitCode = 0;
  let home = process.cwd();
  const end = (ended: ExitCode) => {
    code = ended;
  };
  const inHome = (directory: string) => {
    home = directory;
  };
  try {
    await program(end, inHome, surroundings).parseAsync([...args], { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    const { explainError } = await import('../launch/explain-error.ts');
    printText(surroundings.terminal.stderr, `hubgate: ${explainError(error, home)}`);
    return 1;
  }
}

if (import.meta.main) await main();
