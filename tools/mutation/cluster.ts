import type { Mutant } from './mutant.ts';

const INDEX = 'src/core/store/cluster-index.ts';
const KNOWLEDGE = 'src/core/store/shared-knowledge.ts';
const SOURCES = 'src/core/cluster/sources.ts';
const PEER_SERVER = 'src/core/cluster/peer-server.ts';
const PEER_CLIENT = 'src/core/cluster/peer-client.ts';
const SHARED_LOGINS = 'src/auth/identity/directory/share-directory-logins.ts';
const DIRECTORY = ['test/cluster/directory-logins.cluster.ts'];
const WITHDRAWALS = ['test/cluster/withdrawals.cluster.ts'];
const OBJECTS = ['test/cluster/objects.cluster.ts'];
const DUTY = ['test/cluster/object-duty.cluster.ts'];
const PEERS = ['test/cluster/peers.cluster.ts'];
const FILES = ['test/auth/shared-files.test.ts'];
const HOSTED_UPLOADS = ['test/cluster/hosted-uploads.cluster.ts'];

/** The defences of the nodes of a cluster against one another's slowness, loss and age. */
export const clusterMutants: readonly Mutant[] = [
  {
    defence: 'one node at a time asks about a person',
    file: SHARED_LOGINS,
    find: ' WHERE c.until < now()`',
    replace: '`',
    tests: DIRECTORY,
  },
  {
    defence: 'all nodes seal with one key',
    file: SHARED_LOGINS,
    find: 'return row?.key ?? own;',
    replace: 'return own;',
    tests: DIRECTORY,
  },
  {
    defence: 'what could not be withdrawn is tried again without a break in the messages',
    file: INDEX,
    find: '      this.#retryLater();\n      this.#invalidate();',
    replace: '      this.#invalidate();',
    tests: WITHDRAWALS,
  },
  {
    defence: 'new knowledge waits for what is to be withdrawn',
    file: INDEX,
    find: 'if (!(await this.#settle(repository))) return;',
    replace: 'this.#pending.delete(repository);',
    tests: WITHDRAWALS,
  },
  {
    defence: 'what could not be stored is not remembered while messages arrive',
    file: INDEX,
    find: 'isStored = !this.#options.notifications.isListening.current;',
    replace: 'isStored = true;',
    tests: WITHDRAWALS,
  },
  {
    defence: 'what is withdrawn during a write is not remembered',
    file: INDEX,
    find: 'if (isStored && drops === this.#drops) keep',
    replace: 'if (isStored) keep',
    tests: WITHDRAWALS,
  },
  {
    defence: 'what the database has refused as too old is not remembered',
    file: INDEX,
    find: '\n      isStored = await put();',
    replace: '\n      isStored = (await put()) || true;',
    tests: WITHDRAWALS,
  },
  {
    defence: 'an older answer makes no repository public',
    file: KNOWLEDGE,
    find: "OR visibility IS DISTINCT FROM 'private' OR visibility_checked_at <= $3)",
    replace: 'OR TRUE)',
    tests: WITHDRAWALS,
  },
  {
    defence: 'a download that is over keeps no lease',
    file: SOURCES,
    find: 'if (this.#isOver) await',
    replace: 'if (false) await',
    tests: PEERS,
  },
  {
    defence: 'a lease that is lost before anybody reads breaks nothing else',
    file: SOURCES,
    find: "body.on('error', () => {});",
    replace: '',
    tests: PEERS,
  },
  {
    defence: 'a node that has sent wrong bytes is not asked again',
    file: 'src/core/pull/blob-downloads.ts',
    find: 'if (fill?.isWrong === true) await shared.reject();',
    replace: '',
    tests: PEERS,
  },
  {
    defence: 'a node that is too busy is not taken for one without the content',
    file: PEER_CLIENT,
    find: 'answer.statusCode === 404 ?',
    replace: 'answer.statusCode !== 200 ?',
    tests: PEERS,
  },
  {
    defence: 'only nodes are answered',
    file: PEER_SERVER,
    find: '|| !(await isNode(request.socket, options.nodes)))',
    replace: ')',
    tests: PEERS,
  },
  {
    defence: 'the certificate counts, and not the name in it',
    file: PEER_SERVER,
    find: 'new X509Certificate(certificate).raw.equals(raw)',
    replace: 'new X509Certificate(certificate).raw.equals(raw) || raw.length > 0',
    tests: PEERS,
  },
  {
    defence: 'strangers cause one query at a time',
    file: 'src/cluster/nodes.ts',
    find: 'this.#refreshing ??= this',
    replace: 'this.#refreshing = this',
    tests: PEERS,
  },
  {
    defence: 'a database that is read-only counts as one that cannot be used',
    file: 'src/platform/postgres.ts',
    find: "'08', '25', '40',",
    replace: "'08', '40',",
    tests: PEERS,
  },
  {
    defence: 'what is purged leaves the object store',
    file: 'src/core/store/purge.ts',
    find: '  await removeObject?.(digest);\n',
    replace: '',
    tests: OBJECTS,
  },
  {
    defence: 'the status of a cluster can be read before its tables are those of this release',
    file: 'src/cluster/status.ts',
    find: "hasObjects ? 'pending_uploads' : '0'",
    replace: "'pending_uploads'",
    tests: ['test/cluster/upgrade.cluster.ts'],
  },
  {
    defence: 'a document of the cluster writes no other file of a node',
    file: 'src/auth/shared-files.ts',
    find: 'if (foreign !== undefined) throw',
    replace: 'if (false) throw',
    tests: FILES,
  },
  {
    defence: 'a symbolic link to a policy stays',
    file: 'src/auth/shared-files.ts',
    find: 'const target = await behindLinks(path.join(root, name));',
    replace: 'const target = path.join(root, name);',
    tests: FILES,
  },
  {
    defence: 'a node whose copy of a document is mounted starts, and keeps what is mounted',
    file: 'src/cluster/shared-document.ts',
    find: 'if (!isErrno(error, ...READ_ONLY)) throw error;',
    replace: 'throw error;',
    tests: ['test/cluster/shared-document.cluster.ts'],
  },
  {
    defence: 'a node that cannot take a document does not believe that it has it',
    file: 'src/cluster/shared-document.ts',
    find: 'if (isNewer && isTaken) await',
    replace: 'if (isNewer) await',
    tests: ['test/cluster/shared-document.cluster.ts'],
  },
  {
    defence: 'wrong passwords at one node delay guesses at every node',
    file: 'src/auth/identity/share-delays.ts',
    find: 'for (const attempt of attempts) delays.countElsewhere(parse(attempt));',
    replace: '',
    tests: ['test/cluster/login-delays.cluster.ts'],
  },
  {
    defence: 'a node counts its own wrong passwords once',
    file: 'src/auth/identity/share-delays.ts',
    find: 'if (teller === node) return;',
    replace: '',
    tests: ['test/cluster/login-delays.cluster.ts'],
  },
  {
    defence: 'a node that has lost its lease records no object',
    file: 'src/cluster/objects/stored-objects.ts',
    find: 'AND fence = $5 RETURNING fence)',
    replace: 'AND $5::bigint > 0 RETURNING fence)',
    tests: DUTY,
  },
  {
    defence: 'what the object store lacks survives a restart',
    file: 'src/core/store/pending-uploads.ts',
    find: 'new Set(names.flatMap((name) => digestOfPending(name) ?? []))',
    replace: 'new Set(names.flatMap((name) => (name === "" ? digestOfPending(name) ?? [] : [])))',
    tests: OBJECTS,
  },
  {
    defence: 'an object with wrong bytes is not read again',
    file: SOURCES,
    find: '    if (this.#object !== undefined)\n',
    replace: '    if (false as boolean && this.#object !== undefined)\n',
    tests: OBJECTS,
  },
  {
    defence: 'an object that is gone is dropped',
    file: 'src/core/cluster/objects/object-source.ts',
    find: "await this.drop(object, 'the object store has lost",
    replace: "await Promise.resolve('the object store has lost",
    tests: OBJECTS,
  },
  {
    defence: 'the use of a manifest keeps the objects that it names',
    file: 'src/core/store/sqlite-index.ts',
    find: 'onUsed?.(one);',
    replace: '',
    tests: OBJECTS,
  },
  {
    defence: 'an object stays for a while after its row has gone',
    file: 'src/core/cluster/objects/object-duty.ts',
    find: 'objects.removable(limits.keepRemoved, BATCH)',
    replace: 'objects.removable(0, BATCH)',
    tests: DUTY,
  },
  {
    defence: 'nothing is removed that no node of a cluster has put',
    file: 'src/core/cluster/objects/object-duty.ts',
    find: 'isBlobKey(prefix, key) && modifiedAt',
    replace: 'modifiedAt',
    tests: DUTY,
  },
  {
    defence: 'a young object without a row stays',
    file: 'src/core/cluster/objects/object-duty.ts',
    find: ' && modifiedAt <= now - limits.orphansAfter',
    replace: '',
    tests: DUTY,
  },
  {
    defence: 'nothing is removed from the store of another cluster',
    file: 'src/core/cluster/objects/object-duty.ts',
    find: 'if (!(await isOwn(options, signal))) return;',
    replace: 'await isOwn(options, signal);',
    tests: DUTY,
  },
  {
    defence: 'a store that goes away ends what it sends',
    file: 'src/cluster/objects/object-health.ts',
    find: '      this.#leaving.abort(new Error(trouble));\n',
    replace: '',
    tests: ['test/cluster/object-store.cluster.ts'],
  },
  {
    defence: 'only the core is told of the object store',
    file: 'src/config/config.ts',
    find: 'withoutObjects(cluster) }),',
    replace: 'cluster }),',
    tests: ['test/config/load-config.test.ts'],
  },
  {
    defence: 'the content of an upload that is given up is closed',
    file: 'src/cluster/objects/object-store.ts',
    find: 'body.destroy();',
    replace: '',
    tests: ['test/cluster/object-store.cluster.ts'],
  },
  {
    defence: 'a home without a cluster loads nothing of one',
    file: 'src/core/core.ts',
    find: "import { coreApplication, peerApplication } from './endpoints.ts';",
    replace:
      "import './cluster/join-cluster.ts';\nimport { coreApplication, peerApplication } from './endpoints.ts';",
    tests: ['test/without-cluster.test.ts'],
  },
  {
    defence: 'a node with an older users file ends no token of the cluster',
    file: 'src/auth/identity/deleted-owners.ts',
    find: 'if (isCurrent !== undefined && !(await isCurrent())) return;',
    replace: '',
    tests: ['test/auth/deleted-owners.test.ts'],
  },
  {
    defence: 'auth says nothing about credentials while it could miss a revocation',
    file: 'src/auth/endpoints.ts',
    find: 'if (isBlind()) {',
    replace: 'if (false) {',
    tests: ['test/cluster/refuse.cluster.ts'],
  },
  {
    defence: 'an upload goes on at the node that began it',
    file: 'src/core/routes/hosted.ts',
    find: 'const isForwarded = await forwardUpload(context, (request) => sendToOwner(id, request));',
    replace: 'const isForwarded = (await Promise.resolve(forwardUpload)) === undefined;',
    tests: HOSTED_UPLOADS,
  },
  {
    defence: 'a client whose upload has lost its node gets an answer',
    file: 'src/core/cluster/upload-owners.ts',
    find: 'if (error instanceof PeerUnreachable) return undefined;',
    replace: '',
    tests: HOSTED_UPLOADS,
  },
];
