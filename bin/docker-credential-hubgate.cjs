#!/usr/bin/env node
/**
 * The credential helper of a laptop: docker and podman ask it for the login of a mirror, so that no password is in
 * their files. `login HOST` gets a token that the user approves in a browser (RFC 8628), and `erase`, which
 * `docker logout` calls, revokes it. It is one file without dependencies, for Node 20 and newer, so that a machine
 * needs nothing else of Hubgate. https://github.com/docker/docker-credential-helpers
 */
const { spawnSync } = require('node:child_process');
const { createHash, randomBytes, X509Certificate } = require('node:crypto');
const fs = require('node:fs');
const https = require('node:https');
const os = require('node:os');
const path = require('node:path');
const tls = require('node:tls');

const VERSION = '0.2.0';
/** docker takes this text for "there is no login", and any other one for a fault. */
const NOT_FOUND = 'credentials not found in native keychain';
const GRANT = 'urn:ietf:params:oauth:grant-type:device_code';
const USAGE = `docker-credential-hubgate: the login of docker and podman at a Hubgate mirror

  docker-credential-hubgate login HOST [--ca FILE | --ca-sha256 FINGERPRINT] [--machine NAME] [--keychain NAME]
  docker logout HOST        revokes the token, and deletes it here

  --ca FILE                 the certificate of the mirror's CA
  --ca-sha256 FINGERPRINT   takes the CA from the mirror, if it has this SHA-256
  --machine NAME            the name of the token (default: the name of this machine)
  --keychain NAME           the program of docker for the keychain, such as pass; none: a file (default: what is here)

docker and podman call: get, store, erase, list, version.
`;
const MOST_BYTES = 64 * 1024;
const REQUEST_TIMEOUT = 15_000;

/** An error whose message is for the user. */
class Refused extends Error {}

// --- the records of logins: one file for each mirror, which only its user can read -----------------------------------

const configRoot = () => process.env.XDG_CONFIG_HOME || path.join(os.homedir(), '.config');
const recordsDirectory = () => path.join(configRoot(), 'hubgate', 'logins');
const recordFile = (host) => path.join(recordsDirectory(), `${encodeURIComponent(host)}.json`);

function readRecord(host) {
  const text = textOf(recordFile(host));
  return text === undefined ? undefined : JSON.parse(text);
}

function textOf(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  }
}

function writeRecord(record) {
  fs.mkdirSync(recordsDirectory(), { recursive: true, mode: 0o700 });
  replaceFile(recordFile(record.host), `${JSON.stringify(record, null, 2)}\n`, 0o600);
}

/** Replaces a file at once, so that nobody reads half of it, and a link to it stays a link. */
function replaceFile(file, text, mode) {
  let target = file;
  try {
    target = fs.realpathSync(file);
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
  const draft = `${target}.${randomBytes(6).toString('hex')}`;
  try {
    fs.writeFileSync(draft, text, { mode, flag: 'wx' });
    fs.renameSync(draft, target);
  } finally {
    fs.rmSync(draft, { force: true });
  }
}

// --- the keychain: a helper that docker brings for it ----------------------------------------------------------------

const KEYCHAINS = { darwin: ['osxkeychain'], win32: ['wincred'] }[process.platform] ?? [
  'secretservice',
  'pass',
];

/** The keychain's own name of a login. It has a path, so that it is never the one that docker itself would store. */
const keyOf = (host) => `https://${host}/hubgate`;

/** The milliseconds that somebody has to type the password of the keychain. */
const KEYCHAIN_TIMEOUT = 30_000;

function askKeychain(name, verb, input) {
  // A program that waits for somebody may ignore a milder signal.
  const ends = { timeout: KEYCHAIN_TIMEOUT, killSignal: 'SIGKILL' };
  const options = { input, encoding: 'utf8', stdio: ['pipe', 'pipe', 'ignore'], ...ends };
  const { status, stdout, error } = spawnSync(`docker-credential-${name}`, [verb], options);
  return { isDone: status === 0, said: stdout ?? '', isAbsent: error?.code === 'ENOENT' };
}

function storeIn(name, host, username, secret) {
  const entry = { ServerURL: keyOf(host), Username: username, Secret: secret };
  return askKeychain(name, 'store', JSON.stringify(entry)).isDone && lookIn(name, host).secret === secret;
}

/** Returns the secret that a keychain has, or what is the matter with it. */
function lookIn(name, host) {
  const { isDone, said, isAbsent } = askKeychain(name, 'get', keyOf(host));
  if (isAbsent) return { fault: `docker-credential-${name} is not there any more` };
  if (!isDone && said.includes(NOT_FOUND)) return { fault: `it is not in the keychain (${name}) any more` };
  const secret = isDone ? parsed(said)?.Secret : undefined;
  if (typeof secret === 'string') return { secret };
  return { fault: `the keychain (${name}) does not open`, isClosed: true };
}

/** Keeps a login: the secret in a keychain if there is one that works, else in the record. */
function keep(record, secret, wanted) {
  const names = wanted === undefined ? KEYCHAINS : wanted === 'none' ? [] : [wanted];
  const keychain = names.find((name) => storeIn(name, record.host, record.username, secret));
  if (keychain === undefined && wanted !== undefined && wanted !== 'none')
    throw new Refused(`the keychain cannot be used: docker-credential-${wanted}`);
  const unused = names.filter((name) => isOnPath(`docker-credential-${name}`));
  if (keychain === undefined && unused.length > 0)
    print(
      `The keychain (${unused.join(', ')}) keeps nothing: it is locked, or there is none in this session.`,
    );
  writeRecord({ ...record, keychain: keychain ?? null, ...(keychain === undefined && { secret }) });
  return keychain;
}

function look({ host, keychain, secret }) {
  return keychain === null ? { secret } : lookIn(keychain, host);
}

function forget({ host, keychain }) {
  if (keychain !== null) askKeychain(keychain, 'erase', keyOf(host));
  fs.rmSync(recordFile(host), { force: true });
}

// --- the mirror ------------------------------------------------------------------------------------------------------

/** Returns the host as docker writes it: in lower case, without 443, and without what may stand around it. */
function hostIn(text) {
  const url = urlIn(text.trim());
  if (url === undefined || url.protocol !== 'https:' || `${url.username}${url.password}` !== '')
    throw new Refused(
      `"${printable(text.trim())}" is no mirror; expected a name such as mirror.corp or mirror.corp:8443`,
    );
  return url.host;
}

function urlIn(text) {
  try {
    return new URL(text.includes('://') ? text : `https://${text}`);
  } catch {
    return undefined;
  }
}

/** The machine's own authorities, and those that docker and podman have for this mirror already. */
function authorities(host, own) {
  const stores = [
    '/etc/ssl/certs/ca-certificates.crt',
    '/etc/pki/tls/certs/ca-bundle.crt',
    '/etc/ssl/cert.pem',
  ];
  const system = tls.getCACertificates?.('system') ?? stores.flatMap((file) => textOf(file) ?? []);
  const extra = process.env.NODE_EXTRA_CA_CERTS ? (textOf(process.env.NODE_EXTRA_CA_CERTS) ?? []) : [];
  const directories = [
    '/etc/docker/certs.d',
    '/etc/containers/certs.d',
    path.join(os.homedir(), '.docker/certs.d'),
  ];
  const known = directories.flatMap((directory) => textOf(path.join(directory, host, 'ca.crt')) ?? []);
  return [...tls.rootCertificates, ...system, ...[extra].flat(), ...known, ...(own ? [own] : [])];
}

function request(host, { method = 'POST', target, form, ca, isUnverified = false }) {
  const body = form === undefined ? '' : new URLSearchParams(form).toString();
  const options = {
    method,
    ...(isUnverified ? { rejectUnauthorized: false } : { ca: authorities(host, ca) }),
    headers: {
      accept: 'application/json',
      'content-length': Buffer.byteLength(body),
      ...(form && { 'content-type': 'application/x-www-form-urlencoded' }),
    },
    timeout: REQUEST_TIMEOUT,
    agent: false,
  };
  return new Promise((resolve, reject) => {
    const asked = https.request(`https://${host}${target}`, options, (response) => {
      const chunks = [];
      let length = 0;
      response.on('data', (chunk) => {
        length += chunk.length;
        if (length > MOST_BYTES) asked.destroy(new Error('the answer is too long'));
        else chunks.push(chunk);
      });
      response.on('end', () =>
        resolve({ status: response.statusCode, text: Buffer.concat(chunks).toString('utf8') }),
      );
      response.on('error', reject);
    });
    asked.on('timeout', () => asked.destroy(new Error('no answer')));
    asked.on('error', reject);
    asked.end(body);
  });
}

const UNTRUSTED = /SELF_SIGNED|UNABLE_TO|CERT_UNTRUSTED|DEPTH_ZERO/;

async function askMirror(host, asked) {
  try {
    const { status, text } = await request(host, asked);
    return { status, body: parsed(text) ?? {} };
  } catch (error) {
    if (UNTRUSTED.test(error.code ?? ''))
      throw new Refused(
        `this machine does not trust the certificate of ${host}. Get ca.crt from your operator and use --ca ca.crt,\n` +
          `or compare the SHA-256 of the mirror's CA, which the account page shows, and use --ca-sha256`,
      );
    throw error;
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

/** Takes the CA from the mirror without trusting the connection, because the fingerprint proves it. */
async function pinnedCa(host, fingerprint) {
  const wanted = fingerprint.replaceAll(':', '').toLowerCase();
  const { status, text } = await request(host, { method: 'GET', target: '/ca.crt', isUnverified: true });
  if (status !== 200) throw new Refused(`${host} gives no CA; use --ca FILE`);
  const found = createHash('sha256').update(certificateIn(text).raw).digest('hex');
  if (found !== wanted)
    throw new Refused(
      `the CA of ${host} has the SHA-256 ${found}, and not the one that you gave: somebody may be in between`,
    );
  return text;
}

function certificateIn(text) {
  try {
    return new X509Certificate(text);
  } catch {
    throw new Refused('that is no certificate');
  }
}

// --- login -----------------------------------------------------------------------------------------------------------

function parseOptions(args) {
  const [host, ...rest] = args;
  const options = { host };
  for (let at = 0; at < rest.length; at += 2) {
    const name = {
      '--ca': 'ca',
      '--ca-sha256': 'fingerprint',
      '--machine': 'machine',
      '--keychain': 'keychain',
    }[rest[at]];
    if (name === undefined || rest[at + 1] === undefined)
      throw new Refused(`what is ${rest[at]}?\n\n${USAGE}`);
    options[name] = rest[at + 1];
  }
  if (host === undefined || host.startsWith('-')) throw new Refused(USAGE);
  return options;
}

async function login(args) {
  const options = parseOptions(args);
  const host = hostIn(options.host);
  const ca = await caOf(host, options);
  const former = readRecord(host);
  const given = await deviceToken(host, ca, options.machine ?? os.hostname());
  const record = {
    ...{ host, username: given.user, isIssued: true, id: given.id },
    ...{ expires: given.expires, ...(ca && { ca }) },
  };
  const formerLogin = former && look(former);
  const keychain = keep(record, given.token, options.keychain);
  const place = keychain === undefined ? recordFile(host) : `the keychain (${keychain})`;
  print(
    `You are ${printable(given.user)} at ${host} until ${new Date(given.expires).toISOString().slice(0, 10)}.`,
  );
  print(`The token is in ${place}; docker logout ${host} revokes it.`);
  for (const file of clientFiles()) useHelper(file, host);
  if (!isOnPath('docker-credential-hubgate'))
    print(
      `docker finds this program only on the PATH: ln -s ${__filename} /usr/local/bin/docker-credential-hubgate`,
    );
  if (former !== undefined) await endFormer(former, formerLogin, { keychain, secret: given.token });
}

/** Takes an earlier login of this machine out of its keychain, and revokes its token if it is another one. */
async function endFormer({ keychain: before, ...former }, { secret, fault }, now) {
  if (before !== null && before !== now.keychain) askKeychain(before, 'erase', keyOf(former.host));
  if (!former.isIssued || secret === now.secret) return;
  const failed = secret === undefined ? new Error(fault) : await revoke(former, secret).catch(asIs);
  if (failed instanceof Error)
    print(
      `The earlier token could not be revoked (${failed.message}); revoke ${former.id} at ${tokensOf(former.host)}`,
    );
}

const tokensOf = (host) => `https://${host}/account/tokens`;

async function caOf(host, { ca, fingerprint }) {
  if (ca !== undefined) {
    const text = textOf(ca);
    if (text === undefined) throw new Refused(`${ca} is not there`);
    certificateIn(text);
    return text;
  }
  return fingerprint === undefined ? readRecord(host)?.ca : pinnedCa(host, fingerprint);
}

async function deviceToken(host, ca, machine) {
  const { status, body } = await askMirror(host, { target: '/account/device', form: { machine }, ca });
  if (status !== 200 || typeof body.device_code !== 'string') throw new Refused(whyNot(host, status, body));
  const code = body.device_code;
  print(`Open ${printable(body.verification_uri)}`);
  print(
    `and type the code ${printable(body.user_code)}. It counts for ${Math.round(body.expires_in / 60)} minutes.`,
  );
  const end = Date.now() + body.expires_in * 1000;
  let interval = Math.max(1, Number(body.interval) || 5) * 1000;
  // A browser that is logged in already may answer at once.
  let pause = 1000;
  while (Date.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, pause));
    pause = interval;
    const form = { grant_type: GRANT, device_code: code };
    const answer = await askMirror(host, { target: '/account/device/token', form, ca }).catch((error) => {
      if (error instanceof Refused) throw error;
      // The network of a laptop comes and goes.
      return { status: 0, body: { error: 'authorization_pending' } };
    });
    if (answer.status === 200 && typeof answer.body.token === 'string') return answer.body;
    const { error } = answer.body;
    if (error === 'slow_down') {
      interval += 5000;
      pause = interval;
    } else if (error === 'access_denied') throw new Refused('the login was refused');
    else if (error !== 'authorization_pending' && answer.status < 500) break;
  }
  throw new Refused('the code has ended; run this again');
}

function whyNot(host, status, { error, error_description: words }) {
  if (status === 404) return `${host} has no account page, so nobody can approve this machine there`;
  return `${host} says ${status}: ${printable(words ?? error ?? 'that is no answer of a mirror')}`;
}

async function revoke({ host, ca }, token) {
  const { status } = await askMirror(host, { target: '/account/device/revoke', form: { token }, ca });
  if (status !== 200) throw new Refused(`${host} says ${status}`);
}

// --- the files of docker and podman ----------------------------------------------------------------------------------

function clientFiles() {
  const docker = path.join(process.env.DOCKER_CONFIG || path.join(os.homedir(), '.docker'), 'config.json');
  return [docker, ...podmanFiles()];
}

/** podman reads the file of docker too, and `podman logout` looks only into its own ones. */
function podmanFiles() {
  const { REGISTRY_AUTH_FILE: file, XDG_RUNTIME_DIR: runtime } = process.env;
  if (!['podman', 'buildah', 'skopeo'].some(isOnPath)) return [];
  if (file) return [file];
  const lasting = path.join(configRoot(), 'containers', 'auth.json');
  if (process.platform !== 'linux') return [lasting];
  const first = runtime || (process.getuid() === 0 ? '/run/containers/0' : undefined);
  if (first === undefined) return [lasting];
  return [path.join(first, runtime ? 'containers' : '', 'auth.json'), lasting];
}

function isOnPath(program) {
  const directories = (process.env.PATH ?? '').split(path.delimiter);
  return directories.some((directory) => fs.existsSync(path.join(directory, program)));
}

/** Names this helper for the mirror, and leaves everything else in the file as it is. */
function useHelper(file, host) {
  const text = textOf(file) ?? '{}';
  const add = `add "credHelpers": { "${host}": "hubgate" } to ${file} yourself`;
  let config;
  try {
    config = JSON.parse(text);
  } catch {
    return print(`${file} is not JSON, so it is left alone: ${add}`);
  }
  if (typeof config !== 'object' || config === null || Array.isArray(config))
    return print(`${file} is not understood, so it is left alone: ${add}`);
  if (config.auths?.[host]?.auth !== undefined)
    print(`${file} still has a password for ${host}, which is not used any more: take it out of "auths"`);
  if (config.credHelpers?.[host] === 'hubgate') return;
  const changed = { ...config, credHelpers: { ...config.credHelpers, [host]: 'hubgate' } };
  const indentation = /^[ \t]+/m.exec(text)?.[0] ?? '\t';
  try {
    fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
    replaceFile(file, `${JSON.stringify(changed, null, indentation)}\n`, modeOf(file));
  } catch (error) {
    print(`${file} cannot be written (${error.code}): ${add}`);
  }
}

function modeOf(file) {
  return fs.existsSync(file) ? fs.statSync(file).mode & 0o777 : 0o600;
}

// --- the protocol of credential helpers ------------------------------------------------------------------------------

function get(input) {
  const record = recordOf(input);
  if (record === undefined) throw new Refused(NOT_FOUND);
  const { host, username, expires } = record;
  if (expires !== undefined && expires <= Date.now())
    throw new Refused(`your login at ${host} has ended; run: docker-credential-hubgate login ${host}`);
  const { secret, fault, isClosed } = look(record);
  if (secret === undefined) {
    const again = `docker-credential-hubgate login ${host}`;
    const advice = isClosed ? `unlock it, or run: ${again} --keychain none` : `run: ${again}`;
    throw new Refused(`your login at ${host} cannot be read: ${fault}; ${advice}`);
  }
  answer({ ServerURL: input.trim(), Username: username, Secret: secret });
}

function recordOf(input) {
  try {
    return readRecord(hostIn(input));
  } catch (error) {
    if (error instanceof Refused) return undefined;
    throw error;
  }
}

/** Keeps what `docker login` was given. If it is a password, the mirror cannot revoke it at a logout. */
async function store(input) {
  const { ServerURL: server, Username: username, Secret: secret } = parsed(input) ?? {};
  if (![server, username, secret].every((text) => typeof text === 'string'))
    throw new Refused('store expects ServerURL, Username and Secret');
  const host = hostIn(server);
  const former = readRecord(host);
  const formerLogin = former && look(former);
  const keychain = keep({ host, username, isIssued: false, ...(former?.ca && { ca: former.ca }) }, secret);
  if (former !== undefined) await endFormer(former, formerLogin, { keychain, secret });
}

/** docker calls this twice, so a login that is not there is no fault. */
async function erase(input) {
  const record = recordOf(input);
  if (record === undefined) return;
  const { host, isIssued, id } = record;
  const { secret, fault, isClosed } = look(record);
  if (isClosed) {
    const orElse = isIssued ? `, or revoke ${id} at ${tokensOf(host)}` : '';
    throw new Refused(`${fault}, so the login is still in it: unlock it and log out again${orElse}`);
  }
  forget(record);
  if (!isIssued) return;
  const failed = secret === undefined ? new Error(fault) : await revoke(record, secret).catch(asIs);
  if (failed instanceof Error)
    throw new Refused(
      `the login is deleted here, and its token could not be revoked (${failed.message}); revoke ${id} at ${tokensOf(host)}`,
    );
}

const asIs = (error) => error;

function list() {
  const names = fs.existsSync(recordsDirectory()) ? fs.readdirSync(recordsDirectory()) : [];
  const hosts = names
    .filter((name) => name.endsWith('.json'))
    .map((name) => decodeURIComponent(name.slice(0, -5)));
  answer(Object.fromEntries(hosts.map((host) => [host, readRecord(host)?.username ?? ''])));
}

const print = (text) => process.stderr.write(`${escaped(text)}\n`);
const answer = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
/** What a mirror says may not move the cursor of a terminal. */
const printable = (text) => String(text).replaceAll(/[^\p{L}\p{N}\p{P}\p{S} ]/gu, '?');
/** Names of files, of hosts and of users may contain what moves the cursor of a terminal too. */
const escaped = (text) =>
  text.replaceAll(
    /[^\P{Cc}\n]|[\p{Cf}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u${character.codePointAt(0).toString(16).padStart(4, '0')}`,
  );
const input = () => fs.readFileSync(0, 'utf8');

const VERBS = {
  get: () => get(input()),
  store: () => store(input()),
  erase: () => erase(input()),
  list,
  version: () => process.stdout.write(`docker-credential-hubgate (Hubgate) v${VERSION}\n`),
  login,
};

async function main([verb, ...args]) {
  if (!Object.hasOwn(VERBS, verb ?? '')) {
    process.stderr.write(USAGE);
    process.exitCode = 2;
    return;
  }
  try {
    await VERBS[verb](args);
  } catch (error) {
    const text = `${escaped(error.message)}\n`;
    // docker reads the standard output of a helper. A pull and a logout show its standard error, and nothing else.
    if (verb !== 'login') process.stdout.write(text);
    if (['login', 'get', 'erase'].includes(verb) && error.message !== NOT_FOUND) process.stderr.write(text);
    process.exitCode = 1;
  }
}

void main(process.argv.slice(2));
