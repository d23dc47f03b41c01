/** Debian's slapd with a directory of a few people, on loopback. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { freePort } from '../../support/free-port.ts';
import { waitFor } from '../../support/wait-for.ts';
import { ensurePackages } from './packages.ts';
import { mustRun } from './process.ts';

export const BASE = 'dc=corp';
export const PEOPLE = `ou=people,${BASE}`;
export const BIND_DN = `cn=hubgate,${BASE}`;
export const BIND_PASSWORD = 'service-s3cret';
const ROOT_PASSWORD = 'root-s3cret';
const INTEGER = '1.3.6.1.4.1.1466.115.121.1.27';

export interface Slapd extends AsyncDisposable {
  readonly url: string;
  readonly tlsUrl: string;
  readonly directory: string;
  /** The file of the authority that issued its certificate, and of one that did not. */
  readonly ca: string;
  readonly otherCa: string;
  addPerson(name: string, password: string, more?: { readonly ou?: string }): Promise<void>;
  setMembers(group: string, members: readonly string[]): Promise<void>;
  removePerson(name: string): Promise<void>;
  renamePerson(name: string, newName: string): Promise<void>;
  /** Replaces the values of an attribute of a person. `description` can stand in for any list. */
  setValues(name: string, attribute: string, values: readonly string[]): Promise<void>;
  /** Adds people `many-0`, `many-1`, … without passwords. */
  addMany(count: number): Promise<void>;
  /** Adds a part of the directory that is in another one. */
  addReferral(dn: string, url: string): Promise<void>;
  /** Returns the names that begin like this, each with its entryUUID. */
  stableIds(prefix: string): Promise<readonly (readonly [name: string, stableId: string])[]>;
  stop(): Promise<void>;
  start(): Promise<void>;
}

export async function startSlapd(): Promise<Slapd> {
  await ensurePackages({ slapd: 'slapd', ldapadd: 'ldap-utils', openssl: 'openssl' });
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-slapd-'));
  const at = (name: string) => path.join(directory, name);
  await mkdir(at('data'));
  await makeCertificates(directory);
  const [port, tlsPort] = [await freePort(), await freePort()];
  await writeFile(at('slapd.conf'), configuration(directory));
  const [url, tlsUrl] = [`ldap://127.0.0.1:${port}`, `ldaps://127.0.0.1:${tlsPort}`];
  let running: ChildProcess | undefined;
  const start = async () => {
    running = spawn('slapd', ['-d', '0', '-f', at('slapd.conf'), '-h', `${url} ${tlsUrl}`], {
      stdio: 'ignore',
    });
    await waitFor(() => answers(port));
  };
  const stop = async () => {
    if (running === undefined || running.exitCode !== null) return;
    running.kill('SIGTERM');
    await once(running, 'exit');
    running = undefined;
  };
  const root = ['-x', '-H', url, '-D', `cn=admin,${BASE}`, '-w', ROOT_PASSWORD];
  const change = async (verb: 'ldapadd' | 'ldapmodify', ldif: string) => {
    await writeFile(at('change.ldif'), ldif);
    await mustRun(verb, [...root, '-f', at('change.ldif')]);
  };
  await start();
  await change('ldapadd', tree());
  return {
    url,
    tlsUrl,
    directory,
    ca: at('ca.crt'),
    otherCa: at('other.crt'),
    addPerson: (name, password, { ou = 'people' } = {}) => change('ldapadd', personText(name, password, ou)),
    setMembers: (group, members) =>
      change(
        'ldapmodify',
        [
          `dn: cn=${group},ou=groups,${BASE}`,
          'changetype: modify',
          'replace: member',
          ...[`cn=nobody,${BASE}`, ...members.map((name) => `uid=${name},${PEOPLE}`)].map(
            (dn) => `member: ${dn}`,
          ),
          '',
        ].join('\n'),
      ),
    removePerson: async (name) => {
      await mustRun('ldapdelete', [...root, `uid=${name},${PEOPLE}`]);
    },
    renamePerson: (name, newName) =>
      change(
        'ldapmodify',
        `dn: uid=${name},${PEOPLE}\nchangetype: modrdn\nnewrdn: uid=${newName}\ndeleteoldrdn: 1\n`,
      ),
    setValues: (name, attribute, values) =>
      change(
        'ldapmodify',
        [
          `dn: uid=${name},${PEOPLE}`,
          'changetype: modify',
          `replace: ${attribute}`,
          ...values.map((value) => `${attribute}: ${value}`),
          '',
        ].join('\n'),
      ),
    addMany: (count) =>
      change(
        'ldapadd',
        Array.from({ length: count }, (_, index) => personText(`many-${index}`, 'x', 'people')).join('\n'),
      ),
    addReferral: (dn, url) =>
      change(
        'ldapadd',
        `dn: ${dn}\nobjectClass: referral\nobjectClass: extensibleObject\nref: ${url}/${dn}\n`,
      ),
    stableIds: async (prefix) => {
      const filter = `(uid=${prefix}*)`;
      const output = await mustRun('ldapsearch', [...root, '-LLL', '-b', PEOPLE, filter, 'uid', 'entryUUID']);
      return output.split('\n\n').flatMap((entry) => {
        const uid = /^uid: (.*)$/m.exec(entry)?.[1];
        const id = /^entryUUID: (.*)$/m.exec(entry)?.[1];
        return uid === undefined || id === undefined ? [] : [[uid, id] as const];
      });
    },
    stop,
    start,
    [Symbol.asyncDispose]: async () => {
      await stop();
      await rm(directory, { recursive: true });
    },
  };
}

async function answers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

async function makeCertificates(directory: string): Promise<void> {
  const openssl = (...args: string[]) => mustRun('env', ['-C', directory, 'openssl', ...args]);
  for (const name of ['ca', 'other'])
    await openssl(
      ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', `/CN=${name}`],
      ...['-keyout', `${name}.key`, '-out', `${name}.crt`],
    );
  await openssl(
    'req',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-subj',
    '/CN=slapd',
    '-keyout',
    'slapd.key',
    '-out',
    'slapd.csr',
  );
  await writeFile(path.join(directory, 'names'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n');
  await openssl(
    ...[
      'x509',
      '-req',
      '-in',
      'slapd.csr',
      '-CA',
      'ca.crt',
      '-CAkey',
      'ca.key',
      '-CAcreateserial',
      '-days',
      '2',
    ],
    ...['-extfile', 'names', '-out', 'slapd.crt'],
  );
}

function configuration(directory: string): string {
  return `include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
attributetype ( 1.2.840.113556.1.4.8 NAME 'userAccountControl' SYNTAX ${INTEGER} SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.159 NAME 'accountExpires' SYNTAX ${INTEGER} SINGLE-VALUE )
pidfile ${directory}/slapd.pid
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
TLSCertificateFile ${directory}/slapd.crt
TLSCertificateKeyFile ${directory}/slapd.key
sizelimit unlimited
# Many directories accept a login with a name and an empty password (RFC 4513, section 5.1.2).
allow bind_anon_dn
database mdb
suffix "${BASE}"
rootdn "cn=admin,${BASE}"
rootpw ${ROOT_PASSWORD}
directory ${directory}/data
maxsize 268435456
dbnosync
index objectClass,uid,entryUUID eq
overlay memberof
memberof-refint true
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="${BIND_DN}" read by * none
`;
}

function tree(): string {
  return `dn: ${BASE}
objectClass: dcObject
objectClass: organization
dc: corp
o: corp

dn: ${PEOPLE}
objectClass: organizationalUnit
ou: people

dn: ou=twice,${PEOPLE}
objectClass: organizationalUnit
ou: twice

dn: ou=groups,${BASE}
objectClass: organizationalUnit
ou: groups

dn: cn=nobody,${BASE}
objectClass: device
cn: nobody

dn: ${BIND_DN}
objectClass: device
objectClass: simpleSecurityObject
cn: hubgate
userPassword: ${BIND_PASSWORD}

dn: cn=payments,ou=groups,${BASE}
objectClass: groupOfNames
cn: payments
member: cn=nobody,${BASE}
`;
}

function personText(name: string, password: string, ou: string): string {
  const parent = ou === 'people' ? PEOPLE : `ou=${ou},${PEOPLE}`;
  return `dn: uid=${name},${parent}
objectClass: inetOrgPerson
objectClass: extensibleObject
uid: ${name}
cn: ${name}
sn: ${name}
userPassword: ${password}
`;
}
