import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { parseRules } from '../../access/policy-file.ts';
import { formatFault } from '../../platform/fault.ts';
import { readYaml } from '../../platform/yaml-document.ts';
import { printFaults } from '../load.ts';
import { type ExitCode, printLine, type Terminal } from '../terminal.ts';
import { DOCKER_AUTH, type DockerAuth, migrateAcl } from './docker-auth.ts';

/** A `registry`'s own configuration, as far as it says who may pull. */
const REGISTRY = z.looseObject({
  version: z.unknown(),
  auth: z.looseObject({ htpasswd: z.looseObject({ path: z.string() }).optional() }).optional(),
  proxy: z.looseObject({}).nullish(),
});

/**
 * Prints the `access.yaml` that equals the access rules of another program, as far as they can be carried over; what cannot
 * stands in comments. 1: something is left to do by hand, 2: it is no such file.
 */
export async function migrate(file: string, terminal: Terminal): Promise<ExitCode> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    printLine(terminal.stderr, `hubgate: ${file} cannot be read: ${(error as Error).message}`);
    return 2;
  }
  const read = readYaml(file, text);
  if ('faults' in read) {
    printFaults(read.faults, terminal);
    return 2;
  }
  const dockerAuth = DOCKER_AUTH.safeParse(read.yaml.data);
  if (dockerAuth.success) return print(fromDockerAuth(dockerAuth.data), terminal);
  const registry = REGISTRY.safeParse(read.yaml.data);
  const htpasswd = registry.data?.auth?.htpasswd?.path;
  if (htpasswd !== undefined) return print(fromHtpasswd(await namesIn(htpasswd, file)), terminal);
  printLine(
    terminal.stderr,
    `hubgate: ${file} holds neither docker_auth's "acl" nor a registry's "auth.htpasswd"`,
  );
  return 2;
}

interface Migration {
  readonly comments: readonly string[];
  readonly allow: readonly string[];
  readonly deny: readonly string[];
  readonly isComplete: boolean;
}

function fromDockerAuth(config: DockerAuth): Migration {
  const migrated = migrateAcl(config);
  const rules = (effect: 'allow' | 'deny') =>
    migrated.flatMap((one) => (one.effect === effect && one.rule !== undefined ? [one.rule] : []));
  const notes = migrated.flatMap((one) => one.notes);
  const firstAllow = migrated.findIndex(({ effect }) => effect === 'allow');
  const isOvertaken = migrated.some(
    ({ effect }, index) => effect === 'deny' && firstAllow >= 0 && index > firstAllow,
  );
  return {
    comments: [
      'From docker_auth, where the first entry that matches decides; here any deny wins, and order means nothing.',
      ...(isOvertaken ? ['A deny stood below an allow: here it wins over it. Is that what is meant?'] : []),
      ...notes,
      ...usersToAdd(Object.keys(config.users ?? {})),
    ],
    allow: rules('allow'),
    deny: rules('deny'),
    isComplete: notes.length === 0 && !isOvertaken,
  };
}

function fromHtpasswd(names: readonly string[]): Migration {
  return {
    comments: [
      'From a registry with auth.htpasswd, where whoever logs in may pull whatever the credential of its proxy can read.',
      'Here that needs to be said: add private: true to let everybody reach private repositories too.',
      ...usersToAdd(names),
    ],
    allow: ['{ id: public, pull: everything, to: authenticated }'],
    deny: [],
    isComplete: true,
  };
}

function usersToAdd(names: readonly string[]): string[] {
  return names.filter((name) => name !== '').map((name) => `hubgate user add ${name}`);
}

/** The names of an htpasswd file; none where it cannot be read from here. */
async function namesIn(htpasswd: string, config: string): Promise<string[]> {
  const text = await readFile(path.resolve(path.dirname(config), htpasswd), 'utf8').catch(() => '');
  return text.split('\n').flatMap((line) => (line.includes(':') ? [line.slice(0, line.indexOf(':'))] : []));
}

function print({ comments, allow, deny, isComplete }: Migration, terminal: Terminal): ExitCode {
  const section = (key: string, rules: readonly string[]) =>
    rules.length === 0 ? [] : [`${key}:`, ...rules.map((rule) => `  - ${rule}`)];
  const lines = [
    '# yaml-language-server: $schema=access.schema.json',
    // A line of somebody else's file must not end the comment.
    ...comments.map((comment) => `# ${comment.replace(/[\r\n]+/g, ' ')}`),
    'version: 1',
    ...section('allow', allow),
    ...section('deny', deny),
    '...',
    '',
  ];
  const text = lines.join('\n');
  const parsed = parseRules([{ source: 'the result', label: 'access.yaml', text }]);
  terminal.stdout.write(text);
  if ('value' in parsed) return isComplete ? 0 : 1;
  for (const fault of parsed.faults) printLine(terminal.stderr, formatFault(fault));
  return 1;
}
