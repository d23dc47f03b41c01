import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { freePort } from '../../support/free-port.ts';
import { mustRun, type RunningProcess, startProcess } from './process.ts';
import { ISSUER, SERVICE, startTokenService, type UpstreamAccount } from './token-service.ts';

/**
 * Debian's `docker-registry`, which plays Docker Hub, with its own token service and with public and private
 * repositories.
 */
export interface Upstream extends AsyncDisposable {
  readonly url: URL;
  /** Returns the requests since the last call, as `GET /v2/…`, without the suite's own pushes. */
  takeRequests(): string[];
  push(layout: string, reference: string, to: string): Promise<void>;
  stop(): Promise<void>;
  start(): Promise<void>;
}

export const ACCOUNT: UpstreamAccount = { username: 'acme-mirror', password: 'hub-p4ss:w%rd' };

export async function startUpstream(directory: string): Promise<Upstream> {
  await mkdir(directory, { recursive: true });
  const tokens = await startTokenService(ACCOUNT, (repository) => repository.startsWith('library/'));
  const certificate = path.join(directory, 'token.crt');
  await writeFile(certificate, tokens.certificate);
  const port = await freePort();
  const url = new URL(`http://127.0.0.1:${port}`);
  const config = path.join(directory, 'config.yml');
  await writeFile(
    config,
    JSON.stringify({
      version: '0.1',
      storage: { filesystem: { rootdirectory: path.join(directory, 'data') } },
      http: { addr: url.host },
      auth: {
        token: {
          realm: `${tokens.url.origin}/token`,
          service: SERVICE,
          issuer: ISSUER,
          rootcertbundle: certificate,
        },
      },
    }),
  );
  let registry = await startRegistry(config, url);
  let seen = 0;
  return {
    url,
    takeRequests() {
      const output = registry.output();
      const lines = output
        .slice(seen)
        .matchAll(/"((?:GET|HEAD) \/v2\/[^ ]+) HTTP\/1\.1" \d+ \d+ "[^"]*" "hubgate"/g);
      seen = output.length;
      return Array.from(lines, ([, request]) => request ?? '');
    },
    async push(layout, reference, to) {
      const target = `docker://${url.host}/${to}`;
      const credentials = `${ACCOUNT.username}:${ACCOUNT.password}`;
      const flags = [
        '--insecure-policy',
        'copy',
        '--all',
        '--dest-tls-verify=false',
        '--dest-creds',
        credentials,
      ];
      await mustRun('skopeo', [...flags, `oci:${layout}:${reference}`, target]);
    },
    stop: () => registry.stop(),
    async start() {
      registry = await startRegistry(config, url);
      seen = 0;
    },
    async [Symbol.asyncDispose]() {
      await registry.stop();
      await tokens.stop();
    },
  };
}

export function startRegistry(config: string, url: URL): Promise<RunningProcess> {
  return startProcess('docker-registry', ['serve', config], {
    env: { OTEL_TRACES_EXPORTER: 'none' },
    ready: () =>
      fetch(new URL('/v2/', url)).then(
        () => true,
        () => false,
      ),
  });
}
