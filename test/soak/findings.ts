/** What a run counted and what it found wrong. */
export class Findings {
  readonly #counts = new Map<string, number>();
  readonly #anomalies = new Map<string, { count: number; readonly examples: string[] }>();

  readonly #notes: string[] = [];

  count(what: string, by = 1): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + by);
  }

  counted(what: string): number {
    return this.#counts.get(what) ?? 0;
  }

  /** Records an anomaly. Only the first few examples of each kind are kept. */
  anomaly(kind: string, example: string): void {
    const known = this.#anomalies.get(kind) ?? { count: 0, examples: [] };
    known.count++;
    if (known.examples.length < 5) known.examples.push(`${new Date().toISOString()} ${example}`);
    this.#anomalies.set(kind, known);
  }

  /** Keeps a line that explains an anomaly, if there will be one. Only the first lines are kept. */
  note(line: string): void {
    if (this.#notes.length < 20) this.#notes.push(`${new Date().toISOString()} ${line}`);
  }

  get anomalies(): number {
    return this.#anomalies.size;
  }

  print(write: (line: string) => void): void {
    for (const [what, count] of [...this.#counts].sort()) write(`${String(count).padStart(10)}  ${what}`);
    for (const note of this.#notes) write(`    ${note}`);
    for (const [kind, { count, examples }] of this.#anomalies) {
      write(`\nANOMALY, ${count} times: ${kind}`);
      for (const example of examples) write(`    ${example}`);
    }
    write(`\n${this.#anomalies.size} kinds of anomaly`);
  }
}
