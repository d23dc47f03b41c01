import { type VerbGroup, verb } from '../verb.ts';

/** The verbs about those who may log in, and about what they prove it with. */
export const CREDENTIAL_VERBS: readonly VerbGroup[] = [
  {
    name: 'user',
    description: 'the users and service accounts',
    verbs: [
      verb({
        usage: 'add <name>',
        description: 'add a user, or a service account',
        options: ['passwordStdin', 'service'],
        load: async () => {
          const { addUser } = await import('../../commands/user.ts');
          return ({ names: [name = ''], options, environment, terminal }) =>
            addUser(name, options, environment, terminal);
        },
      }),
      verb({
        usage: 'passwd <name>',
        description: 'set a new password',
        options: ['passwordStdin'],
        load: async () => {
          const { changePassword } = await import('../../commands/user.ts');
          return ({ names: [name = ''], options, environment, terminal }) =>
            changePassword(name, options, environment, terminal);
        },
      }),
      verb({
        usage: 'disable <name>',
        description: 'refuse a user from now on; it takes effect within a second',
        options: [],
        load: async () => {
          const { disableUser } = await import('../../commands/user.ts');
          return ({ names: [name = ''], options, environment, terminal }) =>
            disableUser(name, options, environment, terminal);
        },
      }),
      verb({
        usage: 'enable <name>',
        description: 'admit a disabled user again',
        options: [],
        load: async () => {
          const { enableUser } = await import('../../commands/user.ts');
          return ({ names: [name = ''], options, environment, terminal }) =>
            enableUser(name, options, environment, terminal);
        },
      }),
      verb({
        usage: 'import <file>',
        description: 'add the users of an htpasswd file (bcrypt) or of docker_auth',
        options: [],
        load: async () => {
          const { importUsers } = await import('../../commands/import-users.ts');
          return ({ names: [file = ''], options, terminal }) => importUsers(file, options, terminal);
        },
      }),
      verb({
        usage: 'link <name> <login> [id]',
        description: 'give a name to an account of a directory, although it is taken here',
        options: [],
        load: async () => {
          const { linkUser } = await import('../../commands/people.ts');
          return ({ names, options, environment, terminal }) =>
            linkUser(names, options, environment, terminal);
        },
      }),
      verb({
        usage: 'unlink <name>',
        description: 'take a name from an account of a directory, and end its tokens',
        options: [],
        load: async () => {
          const { unlinkUser } = await import('../../commands/people.ts');
          return ({ names: [name = ''], options, environment, terminal }) =>
            unlinkUser(name, options, environment, terminal);
        },
      }),
      verb({
        usage: 'list',
        description: 'list the users',
        options: ['json'],
        load: async () => {
          const { listUsers } = await import('../../commands/user.ts');
          return ({ options, terminal }) => listUsers(options, terminal);
        },
      }),
      verb({
        usage: 'remove <name>',
        description: 'remove a user; it takes effect within a second',
        options: [],
        load: async () => {
          const { deleteUser } = await import('../../commands/user.ts');
          return ({ names: [name = ''], options, environment, terminal }) =>
            deleteUser(name, options, environment, terminal);
        },
      }),
    ],
  },
  {
    name: 'token',
    description: 'service tokens, the passwords of programs',
    verbs: [
      verb({
        usage: 'create <owner>',
        description: 'make a token, the password for docker login -u OWNER; it is printed once',
        options: ['expires', 'pull', 'push', 'fromNetworks', 'json'],
        load: async () => {
          const { createToken } = await import('../../commands/token.ts');
          return ({ names: [owner = ''], options, environment, terminal }) =>
            createToken(owner, options, environment, terminal);
        },
      }),
      verb({
        usage: 'list',
        description: 'list tokens and remembered logins',
        options: ['json'],
        load: async () => {
          const { listTokens } = await import('../../commands/token.ts');
          return ({ options, environment, terminal }) => listTokens(options, environment, terminal);
        },
      }),
      verb({
        usage: 'revoke <id>',
        description: 'revoke a token or a remembered login',
        options: [],
        load: async () => {
          const { revokeToken } = await import('../../commands/token.ts');
          return ({ names: [id = ''], options, environment, terminal }) =>
            revokeToken(id, options, environment, terminal);
        },
      }),
    ],
  },
  {
    name: 'keys',
    description: 'the keys that sign tokens',
    verbs: [
      verb({
        usage: 'rotate',
        description: 'sign with a new key from now on',
        options: [],
        load: async () => {
          const { rotateKeys } = await import('../../commands/keys.ts');
          return ({ options, terminal }) => rotateKeys(options, terminal);
        },
      }),
    ],
  },
  {
    name: 'cert',
    description: 'the client certificates of daemons and nodes',
    verbs: [
      verb({
        usage: 'issue <name>',
        description: 'issue client.cert, client.key and ca.crt, for /etc/docker/certs.d/<host>/',
        options: ['out', 'days', 'csr'],
        load: async () => {
          const { issueCert } = await import('../../commands/cert/issue.ts');
          return ({ names: [name = ''], options, environment, terminal }) =>
            issueCert(name, options, environment, terminal);
        },
      }),
      verb({
        usage: 'list',
        description: 'list the certificates that were issued or revoked',
        options: ['json'],
        load: async () => {
          const { listCerts } = await import('../../commands/cert/list.ts');
          return ({ options, environment, terminal }) => listCerts(options, environment, terminal);
        },
      }),
      verb({
        usage: 'revoke <which>',
        description:
          'revoke a name, a fingerprint, or the certificate in a file; it takes effect within a second',
        options: [],
        load: async () => {
          const { revokeCert } = await import('../../commands/cert/revoke.ts');
          return ({ names: [which = ''], options, environment, terminal }) =>
            revokeCert(which, options, environment, terminal);
        },
      }),
    ],
  },
];
