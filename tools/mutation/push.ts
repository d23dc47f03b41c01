import type { Mutant } from './mutant.ts';

const NAMES = 'src/registry/repository.ts';
const NAME_TESTS = ['test/registry/hosted-names.test.ts'];
const POLICY = 'src/access/policy.ts';
const POLICY_TESTS = ['test/access/hosted-policy.test.ts'];

const PUSH = 'src/gateway/routes/push.ts';
const PUSH_TESTS = ['test/gateway/push.test.ts'];
const UPLOAD_TESTS = ['test/gateway/upload.test.ts'];
const STREAM_TESTS = ['test/platform/streamed-request.test.ts'];
const CHUNKS = 'src/platform/ipc/receive-chunks.ts';
const CHUNK_TESTS = ['test/platform/receive-chunks.test.ts'];

/** The defences of hosted names, and of who may write to them. */
export const pushMutants: readonly Mutant[] = [
  {
    defence: 'a name in a hosted namespace is hosted, whatever an upstream has',
    file: NAMES,
    find: 'if (hosts.length === 0 && isHostedPath(written, names)) return',
    replace: 'if (false) return',
    tests: NAME_TESTS,
  },
  {
    defence: 'a name with an upstream is that upstream’s',
    file: NAMES,
    find: 'if (hosts.length === 0 && isHostedPath(written, names))',
    replace: 'if (isHostedPath(written, names))',
    tests: NAME_TESTS,
  },
  {
    defence: 'the name of Docker Hub’s repository keeps the host where a hosted one has the same path',
    file: NAMES,
    find: '&& !isHostedPath(path, names) ? path : name',
    replace: '? path : name',
    tests: NAME_TESTS,
  },
  {
    defence: 'an upload id is hexadecimal digits alone',
    file: 'src/registry/upload-id.ts',
    find: '/^[0-9a-f]{32}$/',
    replace: '/^.+$/',
    tests: NAME_TESTS,
  },
  {
    defence: 'an allow of everything reaches nothing that is hosted',
    file: POLICY,
    find: "if (effect === 'allow' && isHosted(repository) && !isHostedPattern(pattern.literal)) return false;",
    replace: '',
    tests: POLICY_TESTS,
  },
  {
    defence: 'push implies pull, and nothing implies delete',
    file: POLICY,
    find: "action === 'push' && question.action === 'pull'",
    replace: "action === 'push'",
    tests: POLICY_TESTS,
  },
  {
    defence: 'whoever may not pull may not write',
    file: POLICY,
    find: ": action === 'pull';",
    replace: ': false;',
    tests: POLICY_TESTS,
  },
  {
    defence: 'nobody pushes without a login',
    file: 'src/access/policy-reader.ts',
    find: 'if (anonymous >= 0)',
    replace: 'if (anonymous >= 99)',
    tests: POLICY_TESTS,
  },
  {
    defence: 'a rule about writing can only mean what is hosted',
    file: 'src/access/pattern-text.ts',
    find: "if ('wrong' in canonical || isHostedPattern(canonical.pattern)) return canonical;",
    replace: 'if (true) return canonical;',
    tests: POLICY_TESTS,
  },
  {
    defence: 'a write is decided before anything else happens',
    file: PUSH,
    find: "if (decision.kind === 'granted') return next();",
    replace: 'if (true) return next();',
    tests: PUSH_TESTS,
  },
  {
    defence: 'every tag that is written is decided',
    file: PUSH,
    find: 'for (const tag of writtenTags(target)) {',
    replace: 'for (const tag of [] as ReturnType<typeof writtenTags>) {',
    tests: PUSH_TESTS,
  },
  {
    defence: 'a manifest is deleted only by somebody who may delete every tag',
    file: PUSH,
    find: "const everyTag = action === 'delete' &&",
    replace: 'const everyTag = false &&',
    tests: PUSH_TESTS,
  },
  {
    defence: 'a blob is mounted only from what the caller may pull',
    file: PUSH,
    find: "if (decision.kind === 'refused') return undefined;\n  return { repository: route.from,",
    replace:
      "if (decision.kind === 'refused') return { repository: route.from, grant: 'private' };\n  return { repository: route.from,",
    tests: PUSH_TESTS,
  },
  {
    defence: 'a private blob of the cache is mounted only by a rule that says private',
    file: PUSH,
    find: "grant: decision.private ? 'private' : 'public'",
    replace: "grant: 'private'",
    tests: ['test/gateway/push-attacks.test.ts'],
  },
  {
    defence: 'a withdrawn right ends an upload',
    file: 'src/gateway/routes/recheck-access.ts',
    find: '|| !options.isAllowed()) withdrawn.abort();',
    replace: ') withdrawn.abort();',
    tests: UPLOAD_TESTS,
  },
  {
    defence: 'a withdrawn credential ends an upload',
    file: 'src/gateway/routes/recheck-access.ts',
    find: "authentication.kind === 'authenticated' && (await credentials.find(authentication)) !== undefined;",
    replace: "authentication.kind === 'authenticated';",
    tests: UPLOAD_TESTS,
  },
  {
    defence: 'a withdrawn right ends a push without a body too',
    file: PUSH,
    find: "isAllowed: () => decideWrite(write, dependencies).kind === 'granted',",
    replace: "isAllowed: () => !hasBody(req) || decideWrite(write, dependencies).kind === 'granted',",
    tests: UPLOAD_TESTS,
  },
  {
    defence: 'a client that waits for 100-continue can be refused first',
    file: 'src/gateway/http/listener.ts',
    find: 'if (hasSmallBody(request)) response.writeContinue();',
    replace: 'response.writeContinue();',
    tests: UPLOAD_TESTS,
  },
  {
    defence: 'the rest of a refused body is bounded',
    file: 'src/gateway/http/early-refusal.ts',
    find: 'if (left <= 0) end();',
    replace: 'if (left <= 0) left = 0;',
    tests: ['test/gateway/early-refusal.test.ts'],
  },
  {
    defence: 'a large body has a floor rate',
    file: 'src/gateway/http/body-deadlines.ts',
    find: 'if (received - span.received < bytes) return true;',
    replace: 'if (received - span.received < bytes) return false;',
    tests: ['test/gateway/body-deadlines.test.ts'],
  },
  {
    defence: 'a credential that is limited to pulls pulls alone',
    file: 'src/access/token-restriction.ts',
    find: 'push: pushed,\n    delete: [],',
    replace: 'push: [...(pull?.map(compilePattern) ?? []), ...pushed],\n    delete: [],',
    tests: ['test/access/token-restriction.test.ts'],
  },
  {
    defence: 'no namespace takes the official images, or every name',
    file: 'src/config/hosted.ts',
    find: "if (first === 'library')",
    replace: "if (first === 'libraries')",
    tests: ['test/config/hosted.test.ts'],
  },
  {
    defence: 'a mirrored name says that names which are hosted take pushes',
    file: 'src/gateway/routes/v2.ts',
    find: 'message: servesPullsOnly(own),',
    replace: '',
    tests: PUSH_TESTS,
  },
  {
    defence: 'a refused push to a mirrored name says nothing of namespaces to which its caller may not push',
    file: 'src/gateway/authorization/pushable-namespaces.ts',
    find: "if (asked !== undefined && authorize(who, asked).kind === 'granted') found.add(namespace);",
    replace: 'if (asked !== undefined && authorize(who, asked).kind !== undefined) found.add(namespace);',
    tests: PUSH_TESTS,
  },
  {
    defence: 'a refused push to a mirrored name says nothing to a caller without a login',
    file: 'src/gateway/authorization/pushable-namespaces.ts',
    find: "if (authentication.kind !== 'authenticated') return [];",
    replace: "if (authentication.kind !== 'authenticated') return [...(names.hosted ?? [])];",
    tests: PUSH_TESTS,
  },
  {
    defence: 'a connection to the core ends with its answer',
    file: 'src/platform/ipc/streamed-request.ts',
    find: "response.once('close', () => connection.destroy());",
    replace: '',
    tests: STREAM_TESTS,
  },
  {
    defence: 'a body is read no faster than the core takes it',
    file: 'src/platform/ipc/send-body.ts',
    find: 'return this.#sending < PIECES;',
    replace: 'return true;',
    tests: STREAM_TESTS,
  },
  {
    defence: 'a piece that the core gets at once is framed as one chunk',
    file: 'src/platform/ipc/send-body.ts',
    find: 'if (!chunkedEncoding) return void socket.write(content, written);',
    replace: 'if (true) return void socket.write(content, written);',
    tests: STREAM_TESTS,
  },
  {
    defence: 'a piece of a body with a length is sent as it is',
    file: 'src/platform/ipc/send-body.ts',
    find: 'if (!chunkedEncoding) return void socket.write(content, written);',
    replace: '',
    tests: STREAM_TESTS,
  },
  {
    defence: 'a body whose answer has come is not read on',
    file: 'src/platform/ipc/send-body.ts',
    find: 'if (!this.#isOver) this.#chunks.resume();',
    replace: 'this.#chunks.resume();',
    tests: STREAM_TESTS,
  },
  {
    defence: 'the bytes of a slow client reach the core before more come',
    file: 'src/platform/ipc/send-body.ts',
    find: 'if (this.#length === 0) this.#linger.refresh();',
    replace: '',
    tests: STREAM_TESTS,
  },
  {
    defence: 'a chunk that others may still use is not freed',
    file: 'src/platform/release-buffer.ts',
    find: ' && buffer.byteLength === byteLength',
    replace: '',
    tests: STREAM_TESTS,
  },
  {
    defence: 'a client is held back while nobody takes its chunks',
    file: CHUNKS,
    find: 'return !this.#isPaused;',
    replace: 'return true;',
    tests: CHUNK_TESTS,
  },
  {
    defence: 'a chunk that comes too early waits',
    file: CHUNKS,
    find: 'if (this.#isPaused) this.#waiting.push(chunk);\n      else this.#give(chunk);',
    replace: 'this.#give(chunk);',
    tests: CHUNK_TESTS,
  },
  {
    defence: 'chunks that wait are left to the next reader',
    file: CHUNKS,
    find: 'for (const chunk of this.#waiting.splice(0)) message.push(chunk);',
    replace: '',
    tests: CHUNK_TESTS,
  },
  {
    defence: 'the bytes that came before the first chunk was taken come first',
    file: CHUNKS,
    find: 'this.#message.read() ?? this.#waiting.shift();',
    replace: 'this.#waiting.shift();',
    tests: CHUNK_TESTS,
  },
];
