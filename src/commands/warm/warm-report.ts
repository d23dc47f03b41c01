import { printLine, type Terminal } from '../../launch/terminal.ts';
import { formatSize } from '../../platform/size.ts';
import type { WarmedImage } from './warm-image.ts';

/** Formats the line of an image that is done. */
export function formatImage(warmed: WarmedImage): string {
  const { image, status, bytes, fetchedBytes, missingPlatforms, stale, referrersKnown, reason = '' } = warmed;
  const notes = [
    missingPlatforms.length > 0 ? `it is not built for ${missingPlatforms.join(', ')}` : [],
    stale ? 'the upstream cannot be asked whether the tag has moved' : [],
    referrersKnown ? [] : 'the upstream cannot be asked what refers to it, such as signatures',
  ].flat();
  const note = notes.map((one) => `; ${one}`).join('');
  switch (status) {
    case 'fetched':
      return `${image}  fetched ${formatFetched(fetchedBytes, bytes)}${note}`;
    case 'cached':
      return `${image}  is here already, ${formatSize(bytes)}${note}`;
    case 'failed':
      return `${image}  failed: ${reason}`;
    case 'left':
      // The reason is printed once, at the end, because it is the same for many images.
      return `${image}  is left for later`;
  }
}

function formatFetched(fetched: number, all: number): string {
  const [part, whole] = [formatSize(fetched), formatSize(all)];
  return part === whole ? whole : `${part} of ${whole}`;
}

/**
 * Prints the result for all images, and why some are not done. `unwritten` counts the answers that the core
 * could not cache meanwhile.
 */
export function printSummary(
  done: readonly WarmedImage[],
  unwritten: number,
  json: boolean,
  { stdout, stderr }: Terminal,
): void {
  const count = (wanted: WarmedImage['status']) => done.filter(({ status }) => status === wanted).length;
  const fetched = done.reduce((sum, { fetchedBytes }) => sum + fetchedBytes, 0);
  const parts = [
    `${count('fetched')} fetched (${formatSize(fetched)})`,
    `${count('cached')} here already`,
    `${count('failed')} failed`,
    `${count('left')} left`,
  ];
  if (!json) printLine(stdout, `images: ${parts.join(', ')}`);
  const left = done.filter(({ status }) => status === 'left');
  for (const reason of new Set(left.map(({ reason }) => reason))) printLine(stderr, `hubgate: ${reason}`);
  if (left.length > 0)
    printLine(stderr, `hubgate: ${left.length} left to do; the same command goes on with them`);
  if (unwritten > 0)
    printLine(stderr, 'hubgate: the cache could not be written meanwhile; the log of the core says why');
}
