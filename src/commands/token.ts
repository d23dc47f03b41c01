import { parseTokenTerms } from '../auth/admin/token-terms.ts';
import {
  type CreatedToken,
  issuedTokens,
  issueServiceToken,
  revokeServiceToken,
} from '../auth/admin/tokens.ts';
import type { Environment } from '../config/environment.ts';
import { pathsIn } from '../config/home.ts';
import { hostedNames } from '../config/hosted.ts';
import { loadOrPrint, printFaults } from '../launch/load.ts';
import { type ExitCode, printJson, printLine, type Terminal } from '../launch/terminal.ts';
import { systemClock } from '../platform/clock.ts';
import { formatRestriction } from './access/limited-tokens.ts';
import { confirmWithdrawal, type Withdrawal } from './confirmation.ts';
import { credentialStores } from './credential-stores.ts';
import { printTable } from './table.ts';

export interface TokenOptions {
  readonly home: string;
  readonly json: boolean;
}

export interface CreateTokenOptions extends TokenOptions {
  readonly expires: string;
  readonly pull?: readonly string[];
  readonly push?: readonly string[];
  readonly from?: readonly string[];
}

/**
 * Makes a service token for a user or a service of the users file, and prints its secret, which cannot be
 * shown again.
 */
export async function createToken(
  owner: string,
  options: CreateTokenOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const paths = pathsIn(options.home);
  const config = await loadOrPrint(paths, environment, terminal);
  if (config === undefined) return 2;
  const wanted = parseTokenTerms(options, {
    longest: config.longestToken,
    hosted: hostedNames(config.hosted),
    lifetimeIn: '--expires',
  });
  if ('wrong' in wanted) return refuse(wanted.wrong, terminal, 2);
  const stores = await credentialStores(options.home, environment);
  const outcome = await issueServiceToken(stores, owner, wanted);
  if (outcome.kind === 'unreadable') {
    printFaults(outcome.faults, terminal, paths.home);
    return 2;
  }
  if (outcome.kind === 'unknown')
    return refuse(
      [`there is no user ${owner}; for a service: hubgate user add ${owner} --service`],
      terminal,
    );
  const { id, token, expiresAt } = outcome;
  if (options.json) printJson(terminal.stdout, { id, token, expires: formatTime(expiresAt) });
  else printToken(owner, outcome, terminal);
  return 0;
}

function printToken(owner: string, { id, token, expiresAt }: CreatedToken, { stdout }: Terminal) {
  printLine(stdout, token);
  printLine(stdout, `It is shown this once. It is the password of: docker login -u ${owner}`);
  printLine(stdout, `id: ${id}  expires: ${formatTime(expiresAt)}  to end it: hubgate token revoke ${id}`);
}

/** Lists service tokens and remembered logins: their owners, when they were used, and when they end. */
export async function listTokens(
  options: TokenOptions,
  environment: Environment,
  { stdout }: Terminal,
): Promise<ExitCode> {
  const issued = await issuedTokens(await credentialStores(options.home, environment));
  const tokens = issued.tokens.map((token) => ({
    id: token.id,
    kind: 'token',
    owner: token.owner,
    ...(token.label !== null && { label: token.label }),
    ...timesOf(token),
    lastUsedFrom: token.lastUsedFrom,
    pull: token.pull,
    ...(token.push && { push: token.push }),
    from: token.from,
  }));
  const logins = issued.logins.map((login) => ({
    id: login.id,
    kind: 'login',
    owner: login.user,
    client: login.client,
    ...timesOf(login),
  }));
  if (options.json) printJson(stdout, [...tokens, ...logins]);
  else
    printTable(stdout, {
      heading: ['ID', 'KIND', 'OWNER', 'EXPIRES', 'LAST USED', 'LAST USED FROM', 'LIMITED TO'],
      rows: [...tokens, ...logins].map(rowOf),
      empty: 'there are no tokens and no remembered logins; to make a token: hubgate token create OWNER',
    });
  return 0;
}

interface TokenTimes {
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly lastUsedAt: number | null;
}

function timesOf({ createdAt, expiresAt, lastUsedAt }: TokenTimes) {
  return {
    created: formatTime(createdAt),
    expires: formatTime(expiresAt),
    lastUsed: lastUsedAt === null ? null : formatTime(lastUsedAt),
  };
}

interface ListedToken {
  readonly id: string;
  readonly kind: string;
  readonly owner: string;
  readonly expires: string;
  readonly lastUsed: string | null;
  readonly lastUsedFrom?: string | null;
  readonly pull?: readonly string[] | null;
  readonly push?: readonly string[];
  readonly from?: readonly string[] | null;
}

function rowOf({
  id,
  kind,
  owner,
  expires,
  lastUsed,
  lastUsedFrom,
  pull,
  push,
  from,
}: ListedToken): string[] {
  const hasExpired = Date.parse(expires) <= systemClock();
  const limits = formatRestriction({ pull: pull ?? undefined, push, from: from ?? undefined });
  return [
    ...[id, kind, owner, hasExpired ? `${expires} (expired)` : expires],
    ...[lastUsed ?? 'never', lastUsedFrom ?? '-', limits === '' ? '-' : limits],
  ];
}

/** Ends a service token or a remembered login, and every token that was issued for it. */
export async function revokeToken(
  id: string,
  { home }: Pick<TokenOptions, 'home'>,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const credentials = await revokeServiceToken(await credentialStores(home, environment), id);
  if (credentials === undefined) return refuse([`there is no token ${id}`], terminal);
  const withdrawal: Withdrawal = {
    done: `${id} is revoked`,
    refused: 'it',
    isWithdrawn: ({ subjects }) => !credentials.some((credential) => subjects.has(credential)),
  };
  return confirmWithdrawal(withdrawal, home, terminal);
}

function formatTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

function refuse(messages: readonly string[], { stderr }: Terminal, code: ExitCode = 1): ExitCode {
  for (const message of messages) printLine(stderr, `hubgate: ${message}`);
  return code;
}
