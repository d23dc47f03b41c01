import path from 'node:path';
import type { Command } from 'commander';
import { withGreedyOptions } from './greedy-options.ts';
import { withSynonym } from './synonyms.ts';

/** The help about a verb besides its options, for `--help` and docs/cli.md. */
export interface VerbHelp {
  /** The page of `docs` with the details. */
  readonly page: string;
  /** The commands without the leading `hubgate`. */
  readonly examples: readonly string[];
}

/** The text that `--help` adds for each verb. The key consists of the verb's words. */
const HELP: Readonly<Record<string, VerbHelp>> = {
  '': {
    page: 'README.md',
    examples: ['start', 'user add ana', 'doctor', '--home /var/lib/hubgate check'],
  },
  start: { page: 'operations.md', examples: ['start --home /var/lib/hubgate', 'start --role core'] },
  prepare: { page: 'operations.md', examples: ['prepare --home /var/lib/hubgate', 'prepare --role gateway'] },
  check: { page: 'configuration.md', examples: ['check', 'check --json'] },
  upstream: { page: 'upstreams.md', examples: ['upstream', 'upstream --json'] },
  'upstream check': {
    page: 'upstreams.md',
    examples: ['upstream check docker.io', 'upstream check ghcr.io acme/app:1.4 --json'],
  },
  'upstream budget': {
    page: 'monitoring.md',
    examples: ['upstream budget', 'upstream budget --since 24h --by group --json'],
  },
  cluster: { page: 'cluster.md', examples: ['cluster status', 'cluster drain'] },
  'cluster status': { page: 'cluster.md', examples: ['cluster status', 'cluster status --json'] },
  'cluster drain': { page: 'cluster.md', examples: ['cluster drain'] },
  'cluster forget': { page: 'cluster.md', examples: ['cluster forget n3'] },
  'cluster import': { page: 'cluster.md', examples: ['cluster import'] },
  'cluster export': { page: 'cluster.md', examples: ['cluster export'] },
  'cluster backup': { page: 'cluster.md', examples: ['cluster backup', 'cluster backup --json'] },
  promote: {
    page: 'hosted.md',
    examples: [
      'promote docker.io/library/nginx:1.27 base/nginx:1.27',
      'promote --as ana --file images.txt --dry-run',
    ],
  },
  warm: {
    page: 'cache.md',
    examples: ['warm alpine:3.22 ghcr.io/acme/app:1.4', 'warm --platform linux/amd64,linux/arm64 images.txt'],
  },
  audit: {
    page: 'audit.md',
    examples: [
      'audit --since 7d --denied',
      'audit --since 2026-11-01 --until 2026-11-30 --subject ana',
      'audit --repository acme/pay-api --requests --json',
    ],
  },
  doctor: {
    page: 'troubleshooting.md',
    examples: ['doctor', 'doctor --from-client https://mirror.corp --image acme/pay-api:1.4'],
  },
  backup: { page: 'backup.md', examples: ['backup /backup/2026-11-30', 'backup --json /backup/2026-11-30'] },
  restore: { page: 'backup.md', examples: ['restore /backup/2026-11-30 --home /var/lib/hubgate'] },
  'client-config': {
    page: 'clients/README.md',
    examples: [
      'client-config docker --for ana',
      'client-config containerd --for node-7 --strict --out node-7',
      'client-config github-actions --for acme/payments --show-secrets',
      'client-config kubernetes --service-accounts --out cluster-7',
    ],
  },
  login: {
    page: 'laptops.md',
    examples: ['login mirror.corp', 'login mirror.corp --ca ca.crt', 'login mirror.corp --keychain none'],
  },
  schema: { page: 'configuration.md', examples: ['schema config', 'schema access'] },
  migrate: { page: 'migrate.md', examples: ['migrate config.yml', 'migrate auth_config.yml'] },
  completion: {
    page: 'operations.md',
    examples: ['completion bash', 'completion zsh', 'completion fish'],
  },
  user: { page: 'identities.md', examples: ['user add ana', 'user list'] },
  'user add': {
    page: 'identities.md',
    examples: ['user add ana', 'user add ana --password-stdin', 'user add ci-pay --service'],
  },
  'user passwd': { page: 'identities.md', examples: ['user passwd ana', 'user passwd ana --password-stdin'] },
  'user disable': { page: 'identities.md', examples: ['user disable ana'] },
  'user enable': { page: 'identities.md', examples: ['user enable ana'] },
  'user import': { page: 'identities.md', examples: ['user import htpasswd'] },
  'user list': { page: 'identities.md', examples: ['user list', 'user list --json'] },
  'user remove': { page: 'identities.md', examples: ['user remove ana'] },
  'user link': {
    page: 'logins.md',
    examples: ['user link ana corp', 'user link ana corp 3f2b7c0e-9a1d-4c8e-8e57-1f0d6a5b4c3d'],
  },
  'user unlink': { page: 'logins.md', examples: ['user unlink ana'] },
  people: { page: 'logins.md', examples: ['people', 'people --json'] },
  token: { page: 'identities.md', examples: ['token create ci-pay --expires 90d', 'token list'] },
  'token create': {
    page: 'identities.md',
    examples: [
      'token create ci-pay --expires 30d',
      "token create ci-pay --pull 'acme/pay-*' --from 10.20.0.0/16 --json",
    ],
  },
  'token list': { page: 'identities.md', examples: ['token list', 'token list --json'] },
  'token revoke': { page: 'identities.md', examples: ['token revoke 3f9c2b7a5d1e'] },
  keys: { page: 'identities.md', examples: ['keys rotate'] },
  'keys rotate': { page: 'identities.md', examples: ['keys rotate'] },
  cert: { page: 'identities.md', examples: ['cert issue node-7', 'cert list'] },
  'cert issue': {
    page: 'identities.md',
    examples: ['cert issue node-7 --out node-7 --days 90', 'cert issue node-7 --csr node-7.csr'],
  },
  'cert list': { page: 'identities.md', examples: ['cert list', 'cert list --json'] },
  'cert revoke': {
    page: 'identities.md',
    examples: ['cert revoke node-7', 'cert revoke node-7/client.cert'],
  },
  access: { page: 'policy.md', examples: ['access explain ana acme/pay-api:1.4', 'access test'] },
  'access explain': {
    page: 'policy.md',
    examples: [
      'access explain ana acme/pay-api:1.4 --from 10.1.2.3',
      'access explain zoe acme/pay-api --group corp/payments',
      'access explain cert:node-7 library/nginx --at 2027-01-31 --json',
    ],
  },
  'access who-can': {
    page: 'policy.md',
    examples: ['access who-can acme/pay-api', 'access who-can acme/pay-api:1.4 --private --json'],
  },
  'access test': { page: 'policy.md', examples: ['access test', 'access test edited.yaml'] },
  'access diff': {
    page: 'policy.md',
    examples: ['access diff edited.yaml', 'access diff --all edited.yaml'],
  },
  'access unused': { page: 'policy.md', examples: ['access unused', 'access unused --since 2026-08-01'] },
  cache: { page: 'cache.md', examples: ['cache stats', 'cache list'] },
  'cache stats': { page: 'cache.md', examples: ['cache stats', 'cache stats --json'] },
  'cache list': { page: 'cache.md', examples: ['cache list', 'cache list --json'] },
  'cache purge': {
    page: 'cache.md',
    examples: ['cache purge library/nginx', 'cache purge library/nginx:1.29'],
  },
  hosted: { page: 'hosted.md', examples: ['hosted list', 'hosted gc --dry-run'] },
  'hosted list': { page: 'hosted.md', examples: ['hosted list', 'hosted list --json'] },
  'hosted tags': {
    page: 'hosted.md',
    examples: ['hosted tags acme-internal/app', 'hosted tags acme-internal/app:latest --json'],
  },
  'hosted restore-tag': { page: 'hosted.md', examples: ['hosted restore-tag acme-internal/app:latest'] },
  'hosted delete': {
    page: 'hosted.md',
    examples: ['hosted delete acme-internal/app:1.0', 'hosted delete acme-internal/app:1.0 --force'],
  },
  'hosted gc': { page: 'hosted.md', examples: ['hosted gc', 'hosted gc --dry-run --json'] },
  'hosted verify': { page: 'hosted.md', examples: ['hosted verify', 'hosted verify --json'] },
  'hosted backup': { page: 'hosted.md', examples: ['hosted backup /backup/monday'] },
  'hosted restore': { page: 'hosted.md', examples: ['hosted restore /backup/monday'] },
};

/** Returns the help of the verb with these words. */
export function verbHelp(words: readonly string[]): VerbHelp | undefined {
  return HELP[words.join(' ')];
}

const DOCS = path.join(import.meta.dirname, '../../docs');

/**
 * Adds to `command`, and to all commands below it, the help and error texts that Commander does not write
 * itself.
 */
export function addHelp(command: Command, words: readonly string[] = []): void {
  const advice = ['hubgate', ...words, '--help'].join(' ');
  command.showHelpAfterError(`(see ${advice})`);
  command.configureOutput({
    outputError: (text, write) => write(withGreedyOptions(withSynonym(text, command), command)),
  });
  command.addHelpText('after', () => textOf(verbHelp(words)));
  for (const below of command.commands) addHelp(below, [...words, below.name()]);
}

function textOf(help: VerbHelp | undefined): string {
  if (help === undefined) return '';
  const examples = help.examples.map((example) => `  $ hubgate ${example}`);
  return ['', 'Examples:', ...examples, '', `Documentation: ${path.join(DOCS, help.page)}`].join('\n');
}
