/** Draws the text of a terminal as an SVG image, which every browser and GitHub show. */

const COLUMNS = 104;
const [WIDTH, HEIGHT, MARGIN] = [7.8, 18, 16];

/** The colour of a line that matches. The first match counts. */
const COLOURS: readonly (readonly [RegExp, string])[] = [
  [/^──/, '#7aa2f7'],
  [/^\$ /, '#e6e9f0'],
  [/ {3}(?:403|404), |^deny: /, '#f7768e'],
  [/ {3}200, |^allow: /, '#9ece6a'],
];
const PLAIN = '#a9b1c6';

/** Returns the image. A line that is too long for it ends with `…`. */
export function drawTerminal(text: string, title: string): string {
  const lines = text.trimEnd().split('\n').map(shorten);
  const width = Math.ceil(COLUMNS * WIDTH + 2 * MARGIN);
  const height = lines.length * HEIGHT + 2 * MARGIN;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img">
<title>${escapeMarkup(title)}</title>
<rect width="${width}" height="${height}" rx="8" fill="#1a1b26"/>
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="13" xml:space="preserve">
${lines.map(drawLine).join('\n')}
</g>
</svg>
`;
}

function drawLine(line: string, index: number): string {
  const [, colour = PLAIN] = COLOURS.find(([pattern]) => pattern.test(line)) ?? [];
  const y = MARGIN + (index + 0.75) * HEIGHT;
  return `<text x="${MARGIN}" y="${y}" fill="${colour}">${escapeMarkup(line)}</text>`;
}

function shorten(line: string): string {
  const characters = [...line];
  return characters.length <= COLUMNS ? line : `${characters.slice(0, COLUMNS - 1).join('')}…`;
}

function escapeMarkup(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
