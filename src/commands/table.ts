import { type Output, printLine } from '../launch/terminal.ts';
import { escapeControls } from '../platform/escape-controls.ts';

export interface Table {
  readonly heading: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** The line that is printed if there are no rows. If it is absent, nothing is printed. */
  readonly empty?: string;
}

/** Prints a heading and rows. Each column is as wide as its longest cell, and the last one has no padding. */
export function printTable(stdout: Output, { heading, rows, empty }: Table): void {
  if (rows.length === 0) {
    if (empty !== undefined) printLine(stdout, empty);
    return;
  }
  const lines = [heading, ...rows].map((cells) => cells.map((cell) => escapeControls(cell)));
  const widths = heading.map((_, column) => Math.max(...lines.map((cells) => cells[column]?.length ?? 0)));
  for (const cells of lines) printLine(stdout, formatRow(cells, widths));
}

/** Formats the cells of one row. A cell that is wider than its column moves the rest of its row. */
export function formatRow(cells: readonly string[], widths: readonly number[]): string {
  return cells
    .map((cell, column) => cell.padEnd(widths[column] ?? 0))
    .join('  ')
    .trimEnd();
}
