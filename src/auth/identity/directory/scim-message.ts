/** Reads and writes SCIM messages (RFC 7643 and 7644), as Entra ID and Okta write them. */
import { isObject } from '../../../platform/object-properties.ts';

const USER_SCHEMA = 'urn:ietf:params:scim:schemas:core:2.0:User';
const MESSAGE = 'urn:ietf:params:scim:api:messages:2.0';

/** A person as a provider sees them. */
export interface ScimUser {
  readonly id: string;
  readonly userName: string;
  readonly externalId?: string;
  readonly active: boolean;
}

export interface ScimPage<T> {
  readonly items: readonly T[];
  /** The number of the first item, from 1 on. */
  readonly startIndex: number;
  readonly total: number;
}

export function formatScimUser(user: ScimUser): object {
  return { schemas: [USER_SCHEMA], ...user, meta: { resourceType: 'User' } };
}

export function formatScimList({ items, startIndex, total }: ScimPage<object>): object {
  return {
    ...{ schemas: [`${MESSAGE}:ListResponse`], totalResults: total, startIndex },
    ...{ itemsPerPage: items.length, Resources: items },
  };
}

export function formatScimError(status: number, detail: string): object {
  return { schemas: [`${MESSAGE}:Error`], status: String(status), detail };
}

/** Tells a client what it may use (RFC 7643, section 5). */
export const SCIM_CONFIG = {
  schemas: ['urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig'],
  patch: { supported: true },
  bulk: { supported: false, maxOperations: 0, maxPayloadSize: 0 },
  filter: { supported: true, maxResults: 100 },
  changePassword: { supported: false },
  sort: { supported: false },
  etag: { supported: false },
  authenticationSchemes: [
    { type: 'oauthbearertoken', name: 'Bearer token', description: 'The secret of scimTokenFile' },
  ],
};

export const SCIM_RESOURCE_TYPES = [
  {
    schemas: ['urn:ietf:params:scim:schemas:core:2.0:ResourceType'],
    ...{ id: 'User', name: 'User', endpoint: '/Users', schema: USER_SCHEMA },
  },
];

/** Reads a filter such as `userName eq "ana"`. Returns undefined for every other one. */
export function parseScimFilter(
  text: string,
): { readonly attribute: 'userName' | 'externalId'; readonly value: string } | undefined {
  const [name = '', operator = '', ...rest] = text.trim().split(' ');
  const attribute = (['userName', 'externalId'] as const).find(
    (one) => one.toLowerCase() === name.toLowerCase(),
  );
  const value = parseJsonText(rest.join(' '));
  return attribute === undefined || operator.toLowerCase() !== 'eq' || typeof value !== 'string'
    ? undefined
    : { attribute, value };
}

type JsonObject = Readonly<Record<string, unknown>>;

/** Returns undefined if the text is not a JSON object. */
export function parseScimMessage(text: string): JsonObject | undefined {
  const message = parseJsonText(text);
  return isObject(message) && !Array.isArray(message) ? message : undefined;
}

function parseJsonText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Returns what a PATCH makes of `active`, or `unchanged`. Returns undefined if nobody can tell. Entra ID
 * writes `{ path: "active", value: "False" }`, and Okta `{ value: { active: false } }`.
 */
export function activeAfterPatch(message: JsonObject): boolean | 'unchanged' | undefined {
  if (!Array.isArray(message.Operations)) return undefined;
  let active: boolean | 'unchanged' = 'unchanged';
  for (const operation of message.Operations as unknown[]) {
    if (!isObject(operation)) return undefined;
    const read = activeOf(operation);
    if (read === undefined) return undefined;
    if (read !== 'unchanged') active = read;
  }
  return active;
}

function activeOf({ op, path, value }: JsonObject): boolean | 'unchanged' | undefined {
  const verb = typeof op === 'string' ? op.toLowerCase() : '';
  if (!['add', 'replace', 'remove'].includes(verb)) return undefined;
  const written = path ?? '';
  if (typeof written !== 'string') return undefined;
  const attribute = attributeIn(written);
  if (attribute === 'active') return verb === 'remove' ? undefined : parseScimBoolean(value);
  return attribute === '' && isObject(value) ? activeIn(value) : 'unchanged';
}

/**
 * Returns the name of an attribute in lower case, without the schema that a client may write before it. It is
 * empty if the text names a user as a whole.
 */
function attributeIn(text: string): string {
  const name = text.trim().toLowerCase();
  const schema = USER_SCHEMA.toLowerCase();
  if (name === schema) return '';
  return name.startsWith(`${schema}:`) ? name.slice(schema.length + 1) : name;
}

/** Returns what a whole user says about `active`, or `unchanged` if it says nothing. */
export function activeIn(user: JsonObject): boolean | 'unchanged' | undefined {
  const entry = Object.entries(user).find(([key]) => attributeIn(key) === 'active');
  return entry === undefined ? 'unchanged' : parseScimBoolean(entry[1]);
}

function parseScimBoolean(value: unknown): boolean | undefined {
  if (typeof value === 'boolean') return value;
  return { true: true, false: false }[typeof value === 'string' ? value.toLowerCase() : ''];
}
