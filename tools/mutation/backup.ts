import type { Mutant } from './mutant.ts';

const TESTS = ['test/commands/backup.test.ts'];
const MIRROR = ['test/commands/backup-mirror.test.ts'];
const VERIFY = 'src/commands/backup/verify-backup.ts';
const COPY = 'src/commands/backup/copy-home.ts';

/** The defences of backups: they are whole, they are private, and a restore believes nothing else. */
export const backupMutants: readonly Mutant[] = [
  {
    defence: 'the bytes of each file are compared with its digest before a restore',
    file: VERIFY,
    find: 'return (await hasDigest(file, digest)) ? [] :',
    replace: 'return digest.length > 0 ? [] :',
    tests: TESTS,
  },
  {
    defence: 'what the manifest does not name is not restored silently',
    file: VERIFY,
    find: 'else if (at !== BACKUP_MANIFEST)',
    replace: 'else if (at === BACKUP_MANIFEST)',
    tests: TESTS,
  },
  {
    defence: 'no path of a manifest leads out of the home',
    file: 'src/commands/backup/backup-manifest.ts',
    find: String.raw`(?!\.{1,2}(?:\/|$))`,
    replace: '',
    tests: TESTS,
  },
  {
    defence: 'a restore writes over nothing',
    file: 'src/commands/backup/restore.ts',
    find: 'if (first === undefined) return undefined;',
    replace: 'if (first !== null) return undefined;',
    tests: TESTS,
  },
  {
    defence: 'a backup that failed leaves nothing',
    file: 'src/commands/backup/backup.ts',
    find: 'await rm(incomplete, { recursive: true, force: true });',
    replace: '',
    tests: TESTS,
  },
  {
    defence: 'a restore that failed leaves nothing',
    file: 'src/commands/backup/restore-home.ts',
    find: 'await rm(made ?? staging, { recursive: true, force: true });',
    replace: '',
    tests: TESTS,
  },
  {
    defence: 'a damaged database is no backup',
    file: 'src/platform/sqlite-copy.ts',
    find: "if (damage !== 'ok')",
    replace: 'if (damage === null)',
    tests: TESTS,
  },
  {
    defence: 'only the owner can read the copies of secrets',
    file: COPY,
    find: 'await handle.chmod(0o600);',
    replace: 'await handle.chmod(0o644);',
    tests: TESTS,
  },
  {
    defence: 'the files of a policy are those of one moment',
    file: COPY,
    find: 'if (read !== undefined && momentOf(tree) === momentOf(await list()))',
    replace: 'if (read !== undefined)',
    tests: TESTS,
  },
  {
    defence: 'tokens and their owners are both in a backup',
    file: COPY,
    find: "const PARTS = ['config', 'certs', 'state'];",
    replace: "const PARTS = ['config', 'certs'];",
    tests: MIRROR,
  },
  {
    defence: 'no mirror starts in half of a restored home',
    file: 'src/launch/home-files.ts',
    find: '...(await halfRestored(paths)),',
    replace: '',
    tests: TESTS,
  },
  {
    defence: 'the files of the logins of directories are copied or named',
    file: 'src/commands/backup/named-files.ts',
    find: '...filesOfLogins(logins)',
    replace: '...filesOfLogins([])',
    tests: TESTS,
  },
  {
    defence: 'the key of the logins of directories is in a backup',
    file: COPY,
    find: String.raw`(?:\.tmp|`,
    replace: String.raw`(?:\.tmp|login\.key|`,
    tests: ['test/commands/backup-logins.test.ts'],
  },
];
