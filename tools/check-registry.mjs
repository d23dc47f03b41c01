/**
 * Reports within seconds whether npm can reach its registry, and if not, why: `node tools/check-registry.mjs`.
 * npm itself asks for ever if a proxy refuses a connection (npm 11), and prints nothing. This program needs no
 * packages, and works with Node 18 or newer.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import tls from 'node:tls';

const DEADLINE = Number(process.env.CHECK_REGISTRY_SECONDS ?? 15) * 1000;

function npmSetting(name) {
  const { stdout = '' } = spawnSync('npm', ['config', 'get', name], { encoding: 'utf8' });
  const value = (stdout ?? '').trim();
  return value === '' || value === 'null' || value === 'undefined' ? undefined : value;
}

/**
 * Finds the proxy as npm does, by its own setting, which reads the variables of either case. There is none for
 * an exempt host.
 */
function proxyFor(url) {
  const exempt = (npmSetting('noproxy') ?? process.env.NO_PROXY ?? process.env.no_proxy ?? '').split(
    /[\s,]+/,
  );
  if (exempt.some((one) => one !== '' && (one === '*' || url.hostname.endsWith(one.replace(/^\*/, '')))))
    return undefined;
  const { HTTPS_PROXY, https_proxy, HTTP_PROXY, http_proxy } = process.env;
  const ofHttps = npmSetting('https-proxy') ?? HTTPS_PROXY ?? https_proxy;
  const proxy =
    (url.protocol === 'https:' ? ofHttps : undefined) ?? npmSetting('proxy') ?? HTTP_PROXY ?? http_proxy;
  return proxy === undefined || proxy === '' ? undefined : new URL(proxy);
}

/** Returns the authorities that npm trusts: those of its `cafile` replace Node's own. */
function authorities() {
  const file = npmSetting('cafile');
  return file === undefined ? {} : { ca: readFileSync(file) };
}

/** Opens a connection to the registry through the proxy. */
function tunnel(proxy, url) {
  return new Promise((resolve, reject) => {
    const login = decodeURIComponent(`${proxy.username}:${proxy.password}`);
    const headers =
      proxy.username === ''
        ? {}
        : { 'proxy-authorization': `Basic ${Buffer.from(login).toString('base64')}` };
    const { request } = proxy.protocol === 'https:' ? https : http;
    const host = `${url.hostname}:${url.port || 443}`;
    request({
      method: 'CONNECT',
      host: proxy.hostname,
      port: proxy.port || 80,
      path: host,
      headers: { host, ...headers },
    })
      .on('connect', (response, socket) => {
        if (response.statusCode === 200) resolve(socket);
        else
          reject(
            new Error(`the proxy refuses the connection: ${response.statusCode} ${response.statusMessage}`),
          );
      })
      .on('error', reject)
      .end();
  });
}

async function ask(url, proxy) {
  const isSecure = url.protocol === 'https:';
  const trust = authorities();
  const socket = isSecure && proxy !== undefined ? await tunnel(proxy, url) : undefined;
  // An agent would ignore `createConnection`, and connect past the proxy.
  const through = socket && {
    agent: undefined,
    defaultPort: 443,
    createConnection: () => tls.connect({ socket, servername: url.hostname, ...trust }),
  };
  const plain = !isSecure &&
    proxy !== undefined && { host: proxy.hostname, port: proxy.port, path: url.href };
  await new Promise((resolve, reject) => {
    (isSecure ? https : http)
      .request(url, { agent: false, ...trust, ...through, ...plain }, resolve)
      .on('error', reject)
      .end();
  });
}

const registry = new URL(npmSetting('registry') ?? 'https://registry.npmjs.org/');
const proxy = proxyFor(registry);
const way = proxy === undefined ? 'without a proxy' : `through the proxy ${proxy.protocol}//${proxy.host}`;
setTimeout(() => fail(`nothing answers within ${DEADLINE / 1000} s`), DEADLINE).unref();

function fail(reason) {
  process.stderr.write(
    [
      `npm cannot reach its registry ${registry.host} ${way}: ${reason}`,
      'If this machine needs a proxy, name it: export HTTPS_PROXY=http://proxy.corp:3128',
      'If the proxy inspects TLS, name its authority: export NODE_EXTRA_CA_CERTS=/path/of/proxy-ca.pem',
      'In a build of the image: --build-arg HTTPS_PROXY=http://proxy.corp:3128 --build-arg CA="$(cat proxy-ca.pem)"',
      '',
    ].join('\n'),
  );
  process.exit(1);
}

await ask(registry, proxy).then(
  () => process.exit(0),
  (error) => fail(`${error.message}${error.code === undefined ? '' : ` (${error.code})`}`),
);
