export type Counted =
  | 'kills'
  | 'kills while it started'
  | 'power cuts'
  | 'caches filled'
  | 'manifests answered'
  | 'blobs answered from the cache'
  | 'blobs answered from a fill'
  | 'readers that left'
  | 'answers cut short by the crash'
  | 'answers failed by the Hub'
  | 'MiB checked by readers'
  | 'files published'
  | 'fills resumed'
  | 'MiB checked on disk'
  | 'files checked after a power cut'
  | 'promises checked after a power cut'
  | 'files half-done at a power cut'
  | 'pushes answered'
  | 'deletes answered'
  | 'hosted content checked'
  | 'lost'
  | 'corrupt';

/** After this many faults, more say nothing new. */
const ENOUGH = 20;

/** Counts what a run did, for its summary, and what went wrong in it. */
export class Tally {
  readonly faults: string[] = [];
  readonly #counts = new Map<Counted, number>();

  count(what: Counted, by = 1): void {
    this.#counts.set(what, this.of(what) + by);
  }

  of(what: Counted): number {
    return this.#counts.get(what) ?? 0;
  }

  fault(text: string): void {
    if (this.faults.length < ENOUGH) this.faults.push(text);
  }

  summary(): string {
    return [...this.#counts].map(([what, count]) => `${Math.round(count)} ${what}`).join(', ');
  }
}
