import { drawTerminal } from './terminal-picture.ts';

/** The parts of the demonstration that fit on one screen and say most. */
const PARTS = ['The private image', 'A deny says why'];

/** Draws a part of what the demonstration has printed. */
export function demoPicture(printed: string): string {
  const parts = printed
    .split(/\n(?=── )/)
    .filter((part) => PARTS.some((name) => part.startsWith(`── ${name}`)));
  if (parts.length < PARTS.length)
    throw new Error('the demonstration has no longer the parts of the picture');
  return drawTerminal(parts.join('\n'), 'Two users pull a private image and a denied one');
}
