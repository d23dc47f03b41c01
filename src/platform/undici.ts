/**
 * The parts of undici that are used here. Its index also loads fetch, WebSockets, caches and mocks, which
 * take some 12 MiB in every process. The code below combines the other parts as that index does (undici 8,
 * index.js); the version is pinned.
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
/** The headers of a response by their names in lower case. */
export type ReceivedHeaders = Readonly<undici.Dispatcher.ResponseData['headers']>;
export const Agent: typeof undici.Agent = agent;
export type Agent = undici.Agent;
export const Pool: typeof undici.Pool = pool;
export type Pool = undici.Pool;
/** Opens connections as undici does by default. */
export const buildConnector: typeof undici.buildConnector = connect;
export type Connector = undici.buildConnector.connector;
export const errors: typeof undici.errors = errorClasses;
