/**
 * The entry point of the kits: it collects what a client needs, issues the credential, and writes or prints
 * the files. Each client has its own file, which says what its kit contains; nothing is known of any client
 * here.
 */
import { isCertificateName } from '../../access/subject.ts';
import type { TokenOwner } from '../../auth/admin/tokens.ts';
import { readUsers } from '../../auth/identity/users-file.ts';
import type { Config } from '../../config/config.ts';
import type { Environment } from '../../config/environment.ts';
import { type HomePaths, pathsIn } from '../../config/home.ts';
import { loadOrPrint, printFaults } from '../../launch/load.ts';
import type { ExitCode, Terminal } from '../../launch/terminal.ts';
import { CERTIFICATE_NAME_RULE } from '../cert/issue.ts';
import { refuseCertificate } from '../cert/options.ts';
import { CLIENTS } from './clients.ts';
import { issueCredential } from './credential.ts';
import type { ClientKit, KitAccount, KitMirror, KitRefusal, KitRequest } from './kit.ts';
import { loopbackLines, mirrorOf, uncounted } from './mirror.ts';
import { type KitResult, printKit } from './print-kit.ts';
import { serviceAccountsKit } from './service-accounts.ts';
import { isTaken, placeIn, writeKit } from './write-kit.ts';

export interface ClientConfigOptions {
  readonly home: string;
  readonly json: boolean;
  /** The node, account or person that the client pulls as. It is required. */
  readonly for?: string;
  readonly strict: boolean;
  /** True if each pod of a cluster pulls as its own service account; then there is no name. */
  readonly serviceAccounts?: boolean;
  /** The directory for the files. If it is absent, they are printed. */
  readonly out?: string;
  readonly showSecrets: boolean;
}

/**
 * Returns 0 if the kit was printed or written, 1 if it cannot be issued or a file exists already, and 2 after
 * bad usage or configuration.
 */
export async function clientConfig(
  client: string,
  options: ClientConfigOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  if (!CLIENTS.has(client))
    return refuseCertificate(
      terminal,
      `"${client}" is no client that is known: ${[...CLIENTS.keys()].join(', ')}`,
      2,
    );
  if (options.serviceAccounts === true) return clientConfigOfPods(client, options, environment, terminal);
  if (options.for === undefined)
    return refuseCertificate(
      terminal,
      'say with --for NAME which node, account or person the client pulls as',
      2,
    );
  return clientConfigFor(options.for, client, options, environment, terminal);
}

/** Writes the kit of a cluster whose pods need no account of ours. */
async function clientConfigOfPods(
  client: string,
  options: ClientConfigOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const wrong =
    client !== 'kubernetes'
      ? `--service-accounts is for kubernetes, and ${client} has no pods`
      : options.for !== undefined
        ? 'leave out --for: with --service-accounts each pod pulls as its own service account'
        : undefined;
  if (wrong !== undefined) return refuseCertificate(terminal, wrong, 2);
  const paths = pathsIn(options.home);
  const config = await loadOrPrint(paths, environment, terminal);
  if (config === undefined) return 2;
  const mirror = await mirrorOf(config, paths);
  if ('refusal' in mirror) return refuseCertificate(terminal, mirror.refusal, mirror.code);
  const kit = withLoopbackLines(serviceAccountsKit(mirror, config.federations), mirror);
  const made = await make(kit, options, { config, paths, owner: { name: client } });
  if ('refusal' in made) return refuseCertificate(terminal, made.refusal, made.code);
  printKit({ client, kit, ...made }, options, terminal);
  return 0;
}

async function clientConfigFor(
  name: string,
  client: string,
  options: ClientConfigOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const paths = pathsIn(options.home);
  const config = await loadOrPrint(paths, environment, terminal);
  if (config === undefined) return 2;
  const users = await readUsers(paths.users);
  if ('faults' in users) {
    printFaults(users.faults, terminal, paths.home);
    return 2;
  }
  const user = users.value.get(name);
  const account = user === undefined ? undefined : user.isService ? 'service' : 'person';
  const kit = await kitFor(client, { name, strict: options.strict }, { config, paths, account });
  if ('refusal' in kit) return refuseCertificate(terminal, kit.refusal, kit.code);
  const made = await make(kit, options, { config, paths, owner: user ?? { name } });
  if ('refusal' in made) return refuseCertificate(terminal, made.refusal, made.code);
  printKit({ client, kit, ...made }, options, terminal);
  return 0;
}

interface KitContext {
  readonly config: Config;
  readonly paths: HomePaths;
  readonly account: KitAccount | undefined;
}

async function kitFor(
  client: string,
  { name, strict }: Pick<KitRequest, 'name' | 'strict'>,
  { config, paths, account }: KitContext,
): Promise<ClientKit | KitRefusal> {
  const mirror = await mirrorOf(config, paths);
  if ('refusal' in mirror) return mirror;
  const kit = CLIENTS.get(client)?.({ mirror, name, strict }, { account, federations: config.federations });
  if (kit === undefined || 'refusal' in kit) return kit ?? { refusal: `${client} is not known` };
  if (kit.credential === 'certificate') {
    if (!isCertificateName(name))
      return { refusal: `"${name}" is no name: ${CERTIFICATE_NAME_RULE}`, code: 2 };
    const why = await uncounted(config, paths);
    if (why !== undefined) return why;
  }
  return withLoopbackLines(kit, mirror);
}

function withLoopbackLines(kit: ClientKit, mirror: KitMirror): ClientKit {
  const notReached = [...loopbackLines(mirror), ...kit.notes.notReached];
  return { ...kit, notes: { ...kit.notes, notReached } };
}

/** Issues a credential only if somebody gets it: in files, or on the screen because that was asked for. */
async function make(
  kit: ClientKit,
  { out, showSecrets }: ClientConfigOptions,
  { config, paths, owner }: Pick<KitContext, 'config' | 'paths'> & { readonly owner: TokenOwner },
): Promise<Pick<KitResult, 'credential' | 'texts'> | KitRefusal> {
  if (out !== undefined) {
    const taken = await takenIn(out, kit);
    if (taken.length > 0)
      return { refusal: `nothing is written, for this is there already: ${taken.join(', ')}` };
  }
  if (out === undefined && !showSecrets) return { credential: null, texts: known(kit) };
  const credential = await issueCredential(kit.credential, owner, {
    paths,
    stores: { ...paths, ...(config.cluster && { database: config.cluster.database }) },
    longestToken: config.longestToken,
  });
  const texts = new Map(kit.files.map(({ path, content }) => [path, credential.fill(content)]));
  try {
    if (out !== undefined)
      await writeKit(
        out,
        kit.files.map(({ path, mode }) => ({ path, mode, text: texts.get(path) ?? '' })),
      );
  } catch (error) {
    await credential.withdraw();
    throw error;
  }
  return { credential, texts };
}

/** Returns the files that can be written without a credential, by their paths. */
function known({ files }: ClientKit): ReadonlyMap<string, string> {
  return new Map(files.flatMap(({ path, content }) => ('text' in content ? [[path, content.text]] : [])));
}

async function takenIn(out: string, { files }: ClientKit): Promise<string[]> {
  const taken: string[] = [];
  for (const { path, content } of files) {
    const file = placeIn(out, path);
    if (await isTaken(file, 'text' in content ? content.text : undefined)) taken.push(file);
  }
  return taken;
}
