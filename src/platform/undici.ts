/**
 * Of undici what is used here. Its index loads fetch, WebSockets, caches and mocks besides, which take some 12 MiB of every
 * process; what follows puts the rest together as that index does (undici 8, index.js), whose version is pinned.
 */
import type * as undici from 'undici';
import api from 'undici/lib/api/index.js';
import connect from 'undici/lib/core/connect.js';
import errorClasses from 'undici/lib/core/errors.js';
import agent from 'undici/lib/dispatcher/agent.js';
import dispatcher from 'undici/lib/dispatcher/dispatcher.js';
import pool from 'undici/lib/dispatcher/pool.js';

Object.assign(dispatcher.prototype, api);

export type { Dispatcher } from 'undici';
export const Agent: typeof undici.Agent = agent;
export type Agent = undici.Agent;
export const Pool: typeof undici.Pool = pool;
export type Pool = undici.Pool;
/** Opens connections as undici does by itself. */
export const buildConnector: typeof undici.buildConnector = connect;
export type Connector = undici.buildConnector.connector;
export const errors: typeof undici.errors = errorClasses;
