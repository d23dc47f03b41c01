/** The keys of hubgate.yaml, and what each may hold. Every key is optional; the defaults are in `load-config.ts`. */
import { z } from 'zod';
import { LOG_FORMATS, LOG_LEVELS } from '../platform/log.ts';
import { BOOLEAN, duration, LISTEN_ADDRESS, origin, SIZE, sizeBetween, wholeNumber } from './values.ts';

const TEXT = z.string('a text').min(1, 'a text');
const FILE = z.string('a path').min(1, 'a path');
/** Milliseconds; off: clients renew no login without the password. */
const REFRESH = z.union(
  [z.literal('off').transform(() => undefined), duration(60_000)],
  'off, or a duration such as 90d',
);

export const UPSTREAM_KEYS = {
  url: origin(
    ['https:', 'http:'],
    'the address of a registry, such as https://registry-1.docker.io',
  ).optional(),
  username: TEXT.optional(),
  password: TEXT.optional(),
  passwordFile: FILE.optional(),
  insecure: BOOLEAN.optional(),
};

/** The sections whose keys are all scalars, so that each can be set from the environment. */
export const SECTIONS = {
  server: {
    url: origin(['https:'], 'the address that clients type, such as https://mirror.corp').optional(),
    names: z.array(TEXT, 'a list of names and addresses').optional(),
    listen: LISTEN_ADDRESS.optional(),
    admin: LISTEN_ADDRESS.optional(),
    catalog: BOOLEAN.optional(),
    workers: z
      .union([z.literal('auto'), wholeNumber(1, 64, '')], 'auto, or a number of processes from 1 to 64')
      .optional(),
  },
  tls: { certificate: FILE.optional(), key: FILE.optional(), clientCa: FILE.optional() },
  core: {
    url: origin(
      ['https:', 'http:'],
      'the address of a registry in proxy mode, such as http://registry:5000',
    ).optional(),
  },
  cache: {
    directory: FILE.optional(),
    maxSize: SIZE.optional(),
    unusedFor: duration().optional(),
    tagFreshness: duration().optional(),
    staleIfError: duration().optional(),
  },
  // Clients take 60 s for the least that a token lives; and what a token says is true for as long as it lives.
  token: {
    lifetime: duration(60_000, 300_000, ' between 60s and 5m').optional(),
    refresh: REFRESH.optional(),
  },
  // The floor is OWASP's for argon2id; above the ceiling two logins at once would hold up everybody else's.
  passwords: {
    memory: sizeBetween('19MiB', '1GiB').optional(),
    passes: wholeNumber(2, 10, 'a number of passes from 2 to 10').optional(),
  },
  log: {
    format: z.enum(LOG_FORMATS, `one of ${LOG_FORMATS.join(', ')}`).optional(),
    level: z.enum(LOG_LEVELS, `one of ${LOG_LEVELS.join(', ')}`).optional(),
    audit: FILE.optional(),
  },
};
