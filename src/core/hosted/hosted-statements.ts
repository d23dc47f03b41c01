import type { Digest } from '../../registry/digest.ts';
import type { ManifestMediaType } from '../../registry/media-type.ts';
import type { Tag } from '../../registry/reference.ts';
import {
  CHANGE_HOSTED,
  CHANGE_HOSTED_CONTENT,
  SELECT_HOSTED,
  SELECT_HOSTED_CONTENT,
} from './hosted-queries.ts';
import { askHosted, type HostedStep, type HostedValue } from './hosted-step.ts';

/** The most changes of one tag that are kept and listed. */
export const MOST_TAG_CHANGES = 1_000;

/** A repository, by its key in the database and by its path. */
export interface HostedRepository {
  readonly id: number;
  readonly path: string;
}

interface HostedTagRow {
  readonly name: Tag;
  readonly digest: Digest;
  readonly set_at: number;
  readonly used_at: number;
}

/** The columns of each query. Only values that were parsed before are stored. */
export interface HostedRows {
  readonly repository: { readonly id: number; readonly bytes: number; readonly tags: number };
  readonly pathOf: { readonly path: string };
  readonly used: { readonly bytes: number };
  readonly blob: { readonly size: number; readonly leased_until: number };
  readonly anyBlob: object;
  readonly manifest: {
    readonly media_type: ManifestMediaType;
    readonly size: number;
    readonly used_at: number;
    readonly bytes: Uint8Array;
  };
  readonly manifestHead: {
    readonly media_type: ManifestMediaType;
    readonly size: number;
    readonly subject: Digest | null;
    readonly pushed_at: number;
    readonly used_at: number;
  };
  readonly tag: { readonly digest: Digest; readonly set_at: number };
  readonly tagsAfter: { readonly name: Tag };
  readonly tagsOf: { readonly name: Tag; readonly set_at: number };
  readonly anyTagOf: { readonly name: Tag };
  readonly anyParent: { readonly parent: Digest };
  readonly children: { readonly child: Digest };
  readonly referrers: {
    readonly digest: Digest;
    readonly media_type: ManifestMediaType;
    readonly size: number;
    readonly artifact_type: string | null;
    readonly annotations_size: number | null;
  };
  readonly annotations: { readonly digest: Digest; readonly annotations: string };
  readonly referrerDigests: { readonly digest: Digest };
  readonly referrerCount: { readonly referrers: number };
  readonly candidates: {
    readonly repository: number;
    readonly path: string;
    readonly digest: Digest;
    readonly review_at: number;
  };
  readonly reviewAt: { readonly review_at: number };
  readonly repositoriesAfter: HostedRepository;
  readonly allTags: HostedTagRow;
  readonly tagsToRetain: HostedTagRow;
  readonly untagged: { readonly digest: Digest };
  readonly lastChange: { readonly previous: Digest | null };
  readonly history: {
    readonly at: number;
    readonly digest: Digest | null;
    readonly previous: Digest | null;
    readonly subject: string;
    readonly credential: string;
  };
  readonly historyAfter: {
    readonly id: number;
    readonly repository: number;
    readonly tag: Tag;
    readonly at: number;
  };
  readonly laterChange: object;
  readonly removals: {
    readonly id: number;
    readonly repository: string | null;
    readonly tag: Tag | null;
    readonly digest: Digest;
    readonly credential: string;
    readonly reason: string;
  };
  readonly repositories: { readonly path: string; readonly bytes: number; readonly tags: number };
  readonly lastReplaced: { readonly at: number | null };
  readonly blobsAfter: { readonly digest: Digest; readonly size: number };
  readonly manifestsAfter: {
    readonly id: number;
    readonly path: string;
    readonly digest: Digest;
    readonly bytes: Uint8Array;
  };
  readonly manifestsOf: { readonly id: number; readonly digest: Digest };
  readonly wholeManifest: {
    readonly media_type: ManifestMediaType;
    readonly size: number;
    readonly pushed_at: number;
    readonly subject: Digest | null;
    readonly artifact_type: string | null;
    readonly annotations: string | null;
    readonly bytes: Uint8Array;
  };
  readonly everyTag: { readonly name: Tag };
  readonly pathsWithBlob: { readonly path: string };
  readonly tornTags: { readonly path: string; readonly name: Tag; readonly digest: Digest };
  /**
   * Only a cluster has this, and `putContent` and `removeContent`: the key of the object that has the bytes.
   */
  readonly content: { readonly size: number; readonly object: string | null };
  readonly tornManifests: { readonly path: string; readonly parent: Digest; readonly child: Digest };
}

/** A query. */
interface HostedSelect<Row> {
  get(...values: HostedValue[]): HostedStep<Row | undefined>;
  all(...values: HostedValue[]): HostedStep<readonly Row[]>;
}

interface HostedChange {
  /** Returns the number of rows that were changed. */
  run(...values: HostedValue[]): HostedStep<number>;
}

export type HostedSelects = { readonly [Name in keyof HostedRows]: HostedSelect<HostedRows[Name]> };

export interface HostedStatements {
  readonly select: HostedSelects;
  readonly change: {
    readonly [Name in keyof typeof CHANGE_HOSTED | keyof typeof CHANGE_HOSTED_CONTENT]: HostedChange;
  };
}

export const HOSTED_STATEMENTS: HostedStatements = {
  select: mapNames({ ...SELECT_HOSTED, ...SELECT_HOSTED_CONTENT }, (name) => ({
    get: (...values: HostedValue[]) => askHosted<never>({ name, wants: 'row', values }),
    all: (...values: HostedValue[]) => askHosted<never>({ name, wants: 'rows', values }),
  })),
  change: mapNames({ ...CHANGE_HOSTED, ...CHANGE_HOSTED_CONTENT }, (name) => ({
    run: (...values: HostedValue[]) => askHosted<number>({ name, wants: 'count', values }),
  })),
};

function mapNames<Texts extends object, Value>(
  texts: Texts,
  make: (name: keyof Texts & string) => Value,
): { readonly [Name in keyof Texts]: Value } {
  const names = Object.keys(texts) as (keyof Texts & string)[];
  return Object.fromEntries(names.map((name) => [name, make(name)])) as {
    readonly [Name in keyof Texts]: Value;
  };
}
