import { parseRules } from '../../access/policy-file.ts';
import { printFaults } from '../../launch/load.ts';
import { type ExitCode, printLine, printText, type Terminal } from '../../launch/terminal.ts';
import { formatFault } from '../../platform/fault.ts';
import { reasonOf } from '../../platform/reason.ts';
import { readNamedFile } from '../../platform/regular-file.ts';
import { parseYaml } from '../../platform/yaml/yaml-document.ts';
import { DOCKER_AUTH, type DockerAuth, migrateAcl, stepsForUsers, withoutEqual } from './docker-auth.ts';
import { type MigratedRegistry, migrateRegistry, REGISTRY } from './registry.ts';

/**
 * Prints the `access.yaml` that equals docker_auth's rules, or the `hubgate.yaml` that equals a registry's
 * configuration. What cannot be carried over is in comments. Returns 1 if something is left to do by hand,
 * and 2 if the file is neither of them.
 */
export async function migrate(file: string, terminal: Terminal): Promise<ExitCode> {
  let text: string;
  try {
    text = (await readNamedFile(file)).toString('utf8');
  } catch (error) {
    printLine(terminal.stderr, `hubgate: ${file} cannot be read: ${reasonOf(error)}`);
    return 2;
  }
  const read = parseYaml(file, text);
  if ('faults' in read) {
    printFaults(read.faults, terminal);
    return 2;
  }
  const dockerAuth = DOCKER_AUTH.safeParse(read.yaml.data);
  if (dockerAuth.success) return print(fromDockerAuth(dockerAuth.data, file), terminal);
  const registry = REGISTRY.safeParse(read.yaml.data);
  if (registry.success) return printRegistry(migrateRegistry(registry.data), terminal);
  printLine(
    terminal.stderr,
    `hubgate: ${file} is neither docker_auth's configuration (it has no "acl") nor a registry's (it has no "version", or nothing beside it)`,
  );
  return 2;
}

/** The order of the sections in a hubgate.yaml. */
const SECTIONS = ['server', 'tls', 'upstreams', 'cache', 'log'];

function printRegistry({ sections, notes, left }: MigratedRegistry, { stdout }: Terminal): ExitCode {
  const comments = [
    'config/hubgate.yaml, from the configuration of a registry. Then: hubgate check',
    ...(left.length === 0 ? [] : ['Left to you:', ...left.map((one) => `- ${one}`)]),
    'To do, or different here:',
    ...notes.map((note) => `- ${note}`),
    '- REGISTRY_PROXY_REMOTEURL, REGISTRY_PROXY_USERNAME and REGISTRY_PROXY_PASSWORD count here too, and no other of its variables: what they set is not in this file',
  ];
  const lines = SECTIONS.flatMap((name) => {
    const section = sections.get(name);
    return section === undefined ? [] : [`${name}:`, ...section.map((line) => `  ${line}`)];
  });
  printText(stdout, [...comments.map(comment), ...lines].join('\n'));
  return left.length === 0 ? 0 : 1;
}

/** Writes a comment. A line from another program's file must not end it. */
function comment(text: string): string {
  return `# ${text.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ')}`;
}

interface Migration {
  readonly comments: readonly string[];
  readonly allow: readonly string[];
  readonly deny: readonly string[];
  readonly isComplete: boolean;
}

function fromDockerAuth(config: DockerAuth, file: string): Migration {
  const migrated = migrateAcl(config);
  const rules = (effect: 'allow' | 'deny') =>
    migrated.flatMap((one) => (one.effect === effect && one.rule !== undefined ? [one.rule] : []));
  const notes = migrated.flatMap((one) => one.notes);
  const left = withoutEqual(config);
  const firstAllow = migrated.findIndex(({ effect }) => effect === 'allow');
  const isOvertaken = migrated.some(
    ({ effect }, index) => effect === 'deny' && firstAllow >= 0 && index > firstAllow,
  );
  return {
    comments: [
      'From docker_auth, where the first entry that matches decides; here any deny wins, and order means nothing.',
      ...(isOvertaken ? ['A deny stood below an allow: here it wins over it. Is that what is meant?'] : []),
      ...notes,
      ...left,
      ...stepsForUsers(config, file),
    ],
    allow: rules('allow'),
    deny: rules('deny'),
    isComplete: notes.length === 0 && left.length === 0 && !isOvertaken,
  };
}

function print({ comments, allow, deny, isComplete }: Migration, terminal: Terminal): ExitCode {
  const section = (key: string, rules: readonly string[]) =>
    rules.length === 0 ? [] : [`${key}:`, ...rules.map((rule) => `  - ${rule}`)];
  const lines = [
    '# yaml-language-server: $schema=access.schema.json',
    ...comments.map(comment),
    'version: 1',
    ...section('allow', allow),
    ...section('deny', deny),
    '...',
  ];
  const text = lines.join('\n');
  const parsed = parseRules([{ source: 'the result', label: 'access.yaml', text: `${text}\n` }], {
    forms: {},
  });
  printText(terminal.stdout, text);
  if ('value' in parsed) return isComplete ? 0 : 1;
  for (const fault of parsed.faults) printLine(terminal.stderr, formatFault(fault));
  return 1;
}
