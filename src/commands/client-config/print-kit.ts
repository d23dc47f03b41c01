import { printJson, printText, type Terminal } from '../../launch/terminal.ts';
import type { IssuedCredential } from './credential.ts';
import { type ClientFile, type ClientKit, holdsSecret, type Notes } from './kit.ts';
import { placeIn } from './write-kit.ts';

export interface KitResult {
  readonly client: string;
  readonly kit: ClientKit;
  /** Null if nothing was issued, because nobody would have received it. */
  readonly credential: Pick<IssuedCredential, 'kind' | 'id' | 'expires'> | null;
  /** The texts of the files that are known, by their paths. */
  readonly texts: ReadonlyMap<string, string>;
}

interface PrintOptions {
  readonly json: boolean;
  readonly strict: boolean;
  readonly out?: string;
  readonly showSecrets: boolean;
}

const HEADINGS: Readonly<Record<keyof Notes, string>> = {
  merge: 'Edit by hand',
  reload: 'Reload',
  check: 'Check',
  notReached: 'Not reached',
  fallback: 'When the mirror refuses',
};

const INSTALL_HEADING =
  'Copy the files to the machine; one that exists already is kept, and FAILED is printed if its content differs';

const NOT_MADE = 'made and written with --out DIRECTORY; --show-secrets makes and prints it';
const NOT_SHOWN = 'secret: it is written, and not shown';

export function printKit(result: KitResult, options: PrintOptions, { stdout }: Terminal): void {
  const files = result.kit.files.map((file) => printedFile(file, result, options));
  const install = installLine(result.kit, options.out);
  if (options.json) {
    const { subject, notes } = result.kit;
    const whose = { client: result.client, subject, strict: options.strict };
    printJson(stdout, { ...whose, credential: issued(result), files, install: install ?? null, notes });
    return;
  }
  const lines = [
    ...files.flatMap((file) => fileLines(file, options)),
    ...credentialLines(result),
    ...(install === undefined ? [] : ['', INSTALL_HEADING, `  ${install}`]),
    ...noteLines(result.kit),
  ];
  printText(stdout, lines.join('\n'));
}

type PrintedKit = ReturnType<typeof printedFile>;

function fileLines(
  { path, written, mode, content, note }: PrintedKit,
  { showSecrets }: PrintOptions,
): string[] {
  if (written !== null && !showSecrets) return [`${written}  ${mode}`];
  return [`# ${written ?? path}  ${mode}`, (content ?? `(${note})`).trimEnd(), ''];
}

function issued({ credential }: KitResult) {
  if (credential === null || credential.id === null) return null;
  const { kind, id, expires } = credential;
  return { kind, id, expires };
}

function credentialLines(result: KitResult): string[] {
  const credential = issued(result);
  if (credential === null) return [];
  const { kind, id, expires } = credential;
  return [`${result.kit.subject}  ${kind} ${id}  until ${expires?.slice(0, 10)}`];
}

function noteLines({ notes }: ClientKit): string[] {
  return (Object.entries(HEADINGS) as [keyof Notes, string][]).flatMap(([key, heading]) =>
    notes[key].length === 0 ? [] : ['', heading, ...notes[key].map((line) => `  ${line}`)],
  );
}

function printedFile(file: ClientFile, { texts }: KitResult, { out, showSecrets }: PrintOptions) {
  const isHidden = holdsSecret(file) && !showSecrets;
  const content = isHidden ? undefined : texts.get(file.path);
  return {
    path: file.path,
    mode: file.mode.toString(8).padStart(4, '0'),
    secret: holdsSecret(file),
    written: out === undefined ? null : placeIn(out, file.path),
    content: content ?? null,
    note: content !== undefined ? null : out === undefined ? NOT_MADE : NOT_SHOWN,
  };
}

/**
 * Returns the command that installs the files; undefined if no file has an absolute path. tar keeps every
 * file that exists, and the owners and modes of existing directories. Two kits share files, such as `ca.crt`,
 * so an existing file is not a fault: sha256sum names those whose contents differ.
 */
function installLine({ files }: ClientKit, out: string | undefined): string | undefined {
  if (out === undefined || !files.some(({ path }) => path.startsWith('/'))) return undefined;
  const unpack = `tar -C ${out} -cf - etc | ssh root@NODE tar -C / -xpf - --skip-old-files --no-same-owner`;
  const compare = `(cd ${out} && find etc -type f -exec sha256sum {} +) | ssh root@NODE env -C / sha256sum -c --quiet`;
  return `${unpack} && ${compare}`;
}
