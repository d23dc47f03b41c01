import { type ChildProcess, spawn } from 'node:child_process';
import { escapeControls } from '../../platform/escape-controls.ts';
import type { UpstreamLogin } from './upstream-login.ts';

export interface HelperOptions {
  /** The name of the helper: `ecr-login` stands for the program `docker-credential-ecr-login`. */
  readonly name: string;
  /** The whole environment of the program. */
  readonly environment: Readonly<Record<string, string>>;
  /** The registry that the login is for, as docker names it. */
  readonly server: string;
  /** The milliseconds for the program to end. */
  readonly deadline: number;
}

/**
 * True if the login is an identity token. By Docker's protocol this user name marks a token that the token
 * service exchanges. Microsoft's helpers give such tokens.
 */
export function isIdentityToken({ username }: UpstreamLogin): boolean {
  return username === '<token>';
}

/** The most bytes of output. */
const MAX_OUTPUT = 64 * 1024;
/** The most characters of a program's own message about its failure. */
const MAX_REASON = 300;

/**
 * Asks a program for a login by Docker's protocol: the server on standard input, JSON on standard output. If
 * the program fails, its message is on standard output. See
 * https://docs.docker.com/reference/cli/docker/login/#credential-helper-protocol
 * @throws an error that names the program, and nothing that may be a secret
 */
export async function runHelper({
  name,
  environment,
  server,
  deadline,
}: HelperOptions): Promise<UpstreamLogin> {
  const program = `docker-credential-${name}`;
  // The program has a process group of its own, so that its children end with it.
  const child = spawn(program, ['get'], { env: environment, stdio: 'pipe', detached: true });
  child.stdin.on('error', () => {});
  child.stdin.end(`${server}\n`);
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    reject(new Error(`the credential helper ${program} does not end within ${deadline / 1000} s`));
  }, deadline);
  try {
    const { code, output, problem } = await Promise.race([ended(child, program), late]);
    if (code === 0) return parseLogin(output, program);
    const said = escapeControls((output.trim() || problem.trim()).slice(0, MAX_REASON));
    throw new Error(`the credential helper ${program} fails: ${said || `exit code ${code}`}`);
  } finally {
    clearTimeout(timer);
    endGroup(child);
  }
}

interface Ended {
  readonly code: number | null;
  readonly output: string;
  readonly problem: string;
}

function ended(child: ChildProcess, program: string): Promise<Ended> {
  const { promise, resolve, reject } = Promise.withResolvers<Ended>();
  const read = (stream: ChildProcess['stdout']) => {
    const chunks: Buffer[] = [];
    let size = 0;
    stream?.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= MAX_OUTPUT) chunks.push(chunk);
      else reject(new Error(`the credential helper ${program} prints more than 64 KiB`));
    });
    return () => Buffer.concat(chunks).toString('utf8');
  };
  const [output, problem] = [read(child.stdout), read(child.stderr)];
  child.on('error', (error: NodeJS.ErrnoException) => {
    const why = error.code === 'ENOENT' ? 'is not in PATH' : `cannot be started: ${error.code}`;
    reject(new Error(`the credential helper ${program} ${why}`));
  });
  child.on('close', (code) => resolve({ code, output: output(), problem: problem() }));
  return promise;
}

/** Ends the processes that the program may have left behind. */
function endGroup(child: ChildProcess): void {
  for (const stream of child.stdio) stream?.destroy();
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // The whole group has ended.
  }
}

/** Errors do not repeat the output, because a part of it may be the secret. */
function parseLogin(output: string, program: string): UpstreamLogin {
  let parsed: { readonly Username?: unknown; readonly Secret?: unknown };
  try {
    parsed = Object(JSON.parse(output));
  } catch {
    throw new Error(`the output of the credential helper ${program} is not JSON`);
  }
  const { Username: username, Secret: password } = parsed;
  if (typeof username === 'string' && username !== '' && typeof password === 'string' && password !== '')
    return { username, password };
  throw new Error(`the credential helper ${program} prints no Username and Secret`);
}
