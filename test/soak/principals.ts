import { mkdtemp, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { hashPassword } from '../../src/auth/identity/password.ts';
import { setPassword } from '../../src/auth/identity/users-file.ts';
import type { RunningHubgate } from '../e2e/support/hubgate.ts';
import { Timeline } from './timeline.ts';

export const GROUPS = 5;
export const PASSWORD = 'correct horse battery staple';
const USERS = 25;
const SERVICES = 10;
const CERTIFICATES = 10;
const ANONYMOUS = 5;

/** Somebody who pulls. */
export interface Principal {
  readonly kind: 'user' | 'service' | 'certificate' | 'anonymous';
  readonly name: string;
  /** The name in the policy. */
  readonly subject: string;
  readonly group: number;
  /** Is the account enabled, and the certificate not revoked? */
  readonly active: Timeline<boolean>;
  /** The service token. */
  token?: string;
  certificate?: { readonly cert: string; readonly key: string };
}

export async function createPrincipals(hubgate: RunningHubgate): Promise<Principal[]> {
  const people = (kind: Principal['kind'], letter: string, count: number): Principal[] =>
    Array.from({ length: count }, (_, index) => {
      const name = `${letter}${index}`;
      const subject = kind === 'certificate' ? `cert:${name}` : name;
      return { kind, name, subject, group: index % GROUPS, active: new Timeline(true) };
    });
  const users = people('user', 'u', USERS);
  const services = people('service', 's', SERVICES);
  const certificates = people('certificate', 'c', CERTIFICATES);
  const hash = await hashPassword(PASSWORD);
  for (const { name } of users) await setPassword(path.join(hubgate.home, 'config/users.yaml'), name, hash);
  for (const service of services) {
    await hubgate.run('user', 'add', service.name, '--service');
    const created = await hubgate.run('token', 'create', service.name, '--expires', '1d', '--json');
    service.token = JSON.parse(created).token;
  }
  for (const one of certificates) await issueCertificate(hubgate, one);
  return [...users, ...services, ...certificates, ...people('anonymous', 'a', ANONYMOUS)];
}

export async function issueCertificate(hubgate: RunningHubgate, principal: Principal): Promise<void> {
  const parent = await mkdtemp(path.join(hubgate.home, 'issued-'));
  const directory = path.join(parent, principal.name);
  await hubgate.run('cert', 'issue', principal.name, '--out', directory);
  const [cert, key] = await Promise.all(
    ['client.cert', 'client.key'].map((file) => readFile(path.join(directory, file), 'utf8')),
  );
  principal.certificate = { cert: cert ?? '', key: key ?? '' };
  await rm(parent, { recursive: true });
}
