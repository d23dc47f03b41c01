import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/log.ts';
import { errorCode, messageOf } from '../../platform/reason.ts';
import { readRegularFile } from '../../platform/regular-file.ts';
import { stateOfFile, type Watch, watchedSlowly, watchFiles } from '../../platform/watched-files.ts';
import { DOCKER_HUB } from '../../registry/repository.ts';
import { HELPER_DEADLINE } from '../limits.ts';
import { HelperCredential } from './helper-credential.ts';
import type { UpstreamCredential, UpstreamOptions } from './upstream.ts';
import type { LiveCredential, UpstreamLogin } from './upstream-login.ts';

export interface WatchCredentialOptions {
  readonly upstream: UpstreamOptions;
  readonly log: Logger;
  readonly clock: Clock;
  /** Called when the password has changed. */
  readonly onChange: () => void;
}

export function watchCredential(
  credential: UpstreamCredential,
  { upstream: { host, url }, log, clock, onChange }: WatchCredentialOptions,
): LiveCredential {
  if ('helper' in credential) {
    const { helper: name, environment } = credential;
    // Docker has a name of its own for the Hub. All other registries are named by their hosts.
    const server = host === DOCKER_HUB ? 'https://index.docker.io/v1/' : url.host;
    const deadline = HELPER_DEADLINE;
    return new HelperCredential({ name, environment, server, deadline, clock, log, onChange });
  }
  if ('passwordFile' in credential) return new CredentialFile(credential, host, log, onChange);
  const { username, password } = credential;
  return {
    login: async () => ({ username, password }),
    look: async () => {},
    [Symbol.dispose]: () => {},
  };
}

/** Returns the value of a Basic header (RFC 7617). */
export function basicAuthorization({ username, password }: UpstreamLogin): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

/**
 * A password in a file. A file that is missing, empty or unreadable changes nothing: the last valid password
 * stays.
 */
class CredentialFile implements LiveCredential {
  readonly #username: string;
  readonly #file: string;
  readonly #host: string;
  readonly #log: Logger;
  readonly #onChange: () => void;
  readonly #watch: Watch;
  readonly #first: Promise<void>;
  #password: string | undefined;
  #problem: string | undefined;

  constructor(
    { username, passwordFile }: { readonly username: string; readonly passwordFile: string },
    host: string,
    log: Logger,
    onChange: () => void,
  ) {
    this.#username = username;
    this.#file = passwordFile;
    this.#host = host;
    this.#log = log;
    this.#onChange = onChange;
    this.#watch = watchFiles({
      state: () => stateOfFile(passwordFile),
      seen: '',
      load: () => this.#load(),
      ...watchedSlowly([passwordFile]),
      log,
    });
    this.#first = this.look();
  }

  async login(): Promise<UpstreamLogin> {
    await this.#first;
    // The file may have been written a moment ago.
    if (this.#password === undefined) await this.look();
    if (this.#password === undefined) throw new Error(`the secret file ${this.#problem}`);
    return { username: this.#username, password: this.#password };
  }

  look(): Promise<void> {
    return this.#watch.look();
  }

  async #load(): Promise<void> {
    const read = await readPassword(this.#file);
    const place = { upstream: this.#host, file: this.#file };
    const before = { password: this.#password, problem: this.#problem };
    if ('problem' in read) {
      this.#problem = read.problem;
      if (read.problem === before.problem) return;
      const holds = before.password === undefined ? 'there is no password yet' : 'the last good one holds';
      this.#log.error({ ...place, problem: read.problem }, `the credential’s file is not used; ${holds}`);
      return;
    }
    this.#problem = undefined;
    this.#password = read.password;
    if (before.problem !== undefined) this.#log.info(place, 'the credential’s file can be used again');
    // The first password is not a change, unless the file could not be used before.
    if (read.password === before.password || (before.password ?? before.problem) === undefined) return;
    this.#log.info(place, 'the credential changed');
    this.#onChange();
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
  }
}

async function readPassword(
  file: string,
): Promise<{ readonly password: string } | { readonly problem: string }> {
  try {
    // `trim` also removes a byte order mark, which some editors write.
    const password = (await readRegularFile(file)).toString('utf8').trim();
    return password === '' ? { problem: 'is empty' } : { password };
  } catch (error) {
    return {
      problem: `cannot be read: ${errorCode(error) ?? messageOf(error)}`,
    };
  }
}
