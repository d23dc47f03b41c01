/** Draws bars for the most important cases as hand-written SVG, with one panel for each case. */
import { type GroupResult, medians } from './results.ts';

interface Panel {
  readonly case: string;
  readonly metric: string;
}

const PANELS: readonly Panel[] = [
  { case: 'blob 256 MiB × 8', metric: 'MB/s' },
  { case: 'blob 256 MiB × 64', metric: 'MB/s' },
  { case: 'blob 5 MiB × 8', metric: 'MB/s' },
  { case: 'blob 100 KiB × 8', metric: 'MB/s' },
  { case: 'blob 256 MiB × 8', metric: 'CPU s/GB' },
  { case: 'manifest by digest × 32', metric: 'requests/s' },
  { case: 'manifest by digest, new connections × 32', metric: 'requests/s' },
  { case: 'cold 256 MiB × 16, upstream at 200 MB/s', metric: 'seconds' },
];

const COLOURS: Readonly<Record<string, string>> = { hubgate: '#1f6feb' };
const PEER_COLOUR = '#9aa4b2';
const WIDTH = 420;
const COLUMNS = 2;
const BAR = 18;
const HEAD = 34;
const LABEL = 120;
const VALUE = 70;

interface Bar {
  readonly server: string;
  readonly value: number;
}

export function drawPlot(results: readonly GroupResult[], peers: readonly string[]): string {
  const panels = PANELS.map((panel) => ({ panel, bars: barsOf(panel, results, peers) })).filter(
    ({ bars }) => bars.length > 0,
  );
  const height = HEAD + Math.max(1, ...panels.map(({ bars }) => bars.length)) * BAR + 16;
  const drawn = panels.map(({ panel, bars }, index) => {
    const [x, y] = [(index % COLUMNS) * WIDTH, Math.floor(index / COLUMNS) * height];
    return `<g transform="translate(${x} ${y})">${drawPanel(panel, bars)}</g>`;
  });
  const [wide, high] = [WIDTH * COLUMNS, Math.ceil(panels.length / COLUMNS) * height];
  const style = 'font-family="system-ui, sans-serif" font-size="12" fill="#57606a"';
  const open = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${wide} ${high}" ${style}>`;
  const title = '<title>Hubgate and its peers, case by case</title>';
  return `${open}\n${title}\n${drawn.join('\n')}\n</svg>\n`;
}

function barsOf(
  { case: what, metric }: Panel,
  results: readonly GroupResult[],
  peers: readonly string[],
): Bar[] {
  const rows = results.flatMap((result) => result.rows).filter((row) => row.case === what);
  return ['hubgate', ...peers].flatMap((server) => {
    const row = rows.find((one) => one.server === server);
    const value = row === undefined ? undefined : medians(row).get(metric);
    return value === undefined ? [] : [{ server, value }];
  });
}

function drawPanel({ case: what, metric }: Panel, bars: readonly Bar[]): string {
  const most = Math.max(...bars.map(({ value }) => value)) || 1;
  const room = WIDTH - LABEL - VALUE;
  const drawn = bars.map(({ server, value }, index) => {
    const y = HEAD + index * BAR;
    const length = Math.max(1, (value / most) * room);
    const text = value >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(3);
    return [
      `<text x="${LABEL - 6}" y="${y + 11}" text-anchor="end">${server}</text>`,
      `<rect x="${LABEL}" y="${y}" width="${length.toFixed(1)}" height="14" rx="2" fill="${COLOURS[server] ?? PEER_COLOUR}"/>`,
      `<text x="${LABEL + length + 5}" y="${y + 11}">${text}</text>`,
    ].join('');
  });
  return `<text x="8" y="20" font-weight="600">${what}: ${metric}</text>${drawn.join('')}`;
}
