/**
 * Lets an identity provider say by SCIM 2.0 that somebody has left. It knows the people who have logged in,
 * and stores nothing about others: a provider that adds somebody gets an id that contains the name.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { reasonOf } from '../../../platform/reason.ts';
import { readRegularFile } from '../../../platform/regular-file.ts';
import type { ScimAnswer, ScimRequest } from '../../../protocol/scim-api.ts';
import { SCIM } from '../../limits.ts';
import type { StoredPerson } from '../../state/stored-person.ts';
import { refusePerson } from './confirm-people.ts';
import type { DirectoryLoginsOptions } from './opened-directory.ts';
import {
  activeAfterPatch,
  activeIn,
  formatScimError,
  formatScimList,
  formatScimUser,
  parseScimFilter,
  parseScimMessage,
  SCIM_CONFIG,
  SCIM_RESOURCE_TYPES,
} from './scim-message.ts';

/** Answers a request of an identity provider. Every request without the secret gets the same answer. */
export type AnswerScim = (request: ScimRequest) => Promise<DecidedScim>;

interface DecidedScim extends ScimAnswer {
  /** The name of the person whom the request has deactivated. */
  readonly deactivated?: string;
}

type Options = Pick<DirectoryLoginsOptions, 'logins' | 'state' | 'refresh' | 'clock' | 'log'>;

/** Somebody whom a provider addresses by an id. Without a person, nobody has logged in by that name yet. */
interface Addressed {
  readonly id: string;
  readonly userName: string;
  readonly person?: StoredPerson;
}

const OF_PERSON = 'p.';
const OF_NAME = 'n.';

/** Returns undefined if no login has SCIM. */
export function createScim(options: Options): AnswerScim | undefined {
  const files = new Map(
    options.logins.flatMap((login): [string, string][] =>
      login.kind === 'oidc' && login.scimTokenFile !== undefined ? [[login.name, login.scimTokenFile]] : [],
    ),
  );
  if (files.size === 0) return undefined;
  return async (request) => {
    const { login, authorization } = request;
    const file = files.get(login);
    if (file === undefined || !(await isAuthorized(file, login, authorization, options)))
      return failed(401, 'this needs the bearer token of the login');
    return answerKnown(request, options);
  };
}

async function isAuthorized(
  file: string,
  login: string,
  authorization: string,
  { log }: Pick<Options, 'log'>,
): Promise<boolean> {
  const secret = await readRegularFile(file).then(
    (bytes) => String(bytes).trim(),
    (error: unknown) => {
      log.error({ login, file, reason: reasonOf(error) }, 'the token of SCIM cannot be read');
      return '';
    },
  );
  if (secret.length < SCIM.shortestToken) {
    log.error({ login, file, least: SCIM.shortestToken }, 'the token of SCIM is too short, so it is refused');
    return false;
  }
  const digestOf = (text: string) => createHash('sha256').update(text).digest();
  const [scheme = '', given = ''] = authorization.split(' ');
  return scheme.toLowerCase() === 'bearer' && timingSafeEqual(digestOf(given), digestOf(secret));
}

async function answerKnown(request: ScimRequest, options: Options): Promise<DecidedScim> {
  const { login, method, path } = request;
  const [, resource = '', id, ...others] = path.split('/');
  if (others.length > 0) return notFound();
  if (id !== undefined)
    return resource === 'Users'
      ? answerUser(request, await addressedBy(id, login, options), options)
      : notFound();
  switch (`${method} ${resource}`) {
    case 'GET ServiceProviderConfig':
      return answered(200, SCIM_CONFIG);
    case 'GET ResourceTypes':
      return answered(200, listOf(SCIM_RESOURCE_TYPES));
    // Groups come from the claims of a login.
    case 'GET Groups':
      return answered(200, listOf([]));
    case 'GET Users':
      return listUsers(request, options);
    case 'POST Users':
      return addUser(request, options);
    default:
      return notFound();
  }
}

async function listUsers({ login, query }: ScimRequest, options: Options): Promise<ScimAnswer> {
  const asked = new URLSearchParams(query);
  const text = asked.get('filter');
  if (text !== null) {
    const filter = parseScimFilter(text);
    if (filter === undefined) return failed(400, 'only userName eq and externalId eq are known filters');
    const person = await personBy({ [filter.attribute]: filter.value }, login, options);
    return answered(200, listOf(person === undefined ? [] : [shown(ofPerson(person))]));
  }
  const startIndex = Math.max(1, Number.parseInt(asked.get('startIndex') ?? '', 10) || 1);
  const wanted = Number.parseInt(asked.get('count') ?? '', 10);
  const count = Math.min(SCIM.page, Number.isNaN(wanted) ? SCIM.page : Math.max(0, wanted));
  const all = (await options.state.people()).filter((one) => one.login === login && one.stableId !== null);
  const items = all.slice(startIndex - 1, startIndex - 1 + count).map((person) => shown(ofPerson(person)));
  return answered(200, formatScimList({ items, startIndex, total: all.length }));
}

/** The person must log in before anything is known of them. A provider needs an id before that. */
async function addUser({ login, body }: ScimRequest, options: Options): Promise<DecidedScim> {
  const user = parseScimMessage(body);
  if (user === undefined) return failed(400, 'the body is no user');
  const { userName, externalId } = user;
  if (typeof userName !== 'string' || userName === '' || userName.length > SCIM.longestName)
    return failed(400, 'the user has no userName');
  const active = activeIn(user);
  if (active === undefined) return failed(400, 'active is neither true nor false');
  const given = typeof externalId === 'string' ? { userName, externalId } : { userName };
  const person = await personBy(given, login, options);
  const addressed = person === undefined ? ofName(userName) : ofPerson(person);
  const ended = active === false ? await deactivate(addressed, login, options) : {};
  return { ...answered(201, shown(await again(addressed, login, options))), ...ended };
}

async function answerUser(
  { method, body, login }: ScimRequest,
  addressed: Addressed | undefined,
  options: Options,
): Promise<DecidedScim> {
  if (addressed === undefined) return notFound();
  if (method === 'GET') return answered(200, shown(addressed));
  if (method === 'DELETE') {
    return { status: 204, body: '', ...(await deactivate(addressed, login, options)) };
  }
  if (method !== 'PATCH' && method !== 'PUT') return notFound();
  const message = parseScimMessage(body);
  const active = message && (method === 'PATCH' ? activeAfterPatch(message) : activeIn(message));
  if (active === undefined) return failed(400, 'nobody can tell what becomes of active');
  // Somebody who is active again logs in again, because only a login proves it.
  const ended = active === false ? await deactivate(addressed, login, options) : {};
  return { ...answered(200, shown(await again(addressed, login, options))), ...ended };
}

/**
 * Ends everything of a person, and returns who that is. Somebody else may change the person at the same time.
 */
async function deactivate(
  { id }: Addressed,
  login: string,
  options: Options,
): Promise<Pick<DecidedScim, 'deactivated'>> {
  let deactivated: string | undefined;
  for (let attempt = 0; attempt < SCIM.attempts; attempt++) {
    const person = (await addressedBy(id, login, options))?.person;
    if (person === undefined || person.refusedAt !== null) break;
    await refusePerson(person, options);
    deactivated = person.name;
  }
  await options.refresh();
  return deactivated === undefined ? {} : { deactivated };
}

async function again(addressed: Addressed, login: string, options: Options): Promise<Addressed> {
  return (await addressedBy(addressed.id, login, options)) ?? addressed;
}

/** The name and the id of a person are those of the token of a login: `preferred_username`, and `sub`. */
async function personBy(
  { userName, externalId }: { readonly userName?: string; readonly externalId?: string },
  login: string,
  { state }: Pick<Options, 'state'>,
): Promise<StoredPerson | undefined> {
  const byId = externalId === undefined ? undefined : await state.personOf(login, externalId);
  if (byId !== undefined || userName === undefined) return byId;
  const person = await state.person(userName);
  return person?.login === login && person.stableId !== null ? person : undefined;
}

async function addressedBy(id: string, login: string, options: Options): Promise<Addressed | undefined> {
  if (id.length > 2 * SCIM.longestName) return undefined;
  const text = Buffer.from(id.slice(OF_PERSON.length), 'base64url').toString('utf8');
  if (text === '') return undefined;
  if (id.startsWith(OF_PERSON)) {
    const person = await options.state.personOf(login, text);
    return person && ofPerson(person);
  }
  if (!id.startsWith(OF_NAME)) return undefined;
  const person = await personBy({ userName: text }, login, options);
  return { ...ofName(text), ...(person && { person }) };
}

function ofPerson(person: StoredPerson): Addressed {
  const id = `${OF_PERSON}${Buffer.from(person.stableId ?? '').toString('base64url')}`;
  return { id, userName: person.name, person };
}

function ofName(userName: string): Addressed {
  return { id: `${OF_NAME}${Buffer.from(userName).toString('base64url')}`, userName };
}

function shown({ id, userName, person }: Addressed): object {
  const { stableId = null, refusedAt = null } = person ?? {};
  const externalId = stableId === null ? {} : { externalId: stableId };
  return formatScimUser({ id, userName, ...externalId, active: refusedAt === null });
}

function listOf(items: readonly object[]): object {
  return formatScimList({ items, startIndex: 1, total: items.length });
}

function answered(status: number, content: object): ScimAnswer {
  return { status, body: JSON.stringify(content) };
}

function failed(status: number, detail: string): ScimAnswer {
  return answered(status, formatScimError(status, detail));
}

function notFound(): ScimAnswer {
  return failed(404, 'there is nothing at this address');
}
