import type { Readable } from 'node:stream';
import type { BlobLocation } from '../../protocol/core-api.ts';
import type { Fill } from './fill.ts';
import type { PulledPart } from './pull-part.ts';

export type PulledBlob =
  /** A complete and verified blob. */
  | {
      readonly blob: 'stored';
      readonly location: BlobLocation;
      /** Seconds since the repository was last known to be readable; only for a `stale` answer. */
      readonly age?: number;
    }
  | { readonly blob: 'filling'; readonly fill: Fill }
  | PulledPart
  /** Unverified bytes for this caller alone, past a cache that cannot be written. */
  | { readonly blob: 'bytes'; readonly size: number | undefined; readonly body: Readable };
