const UNITS: Readonly<Record<string, number>> = {
  h: 3600,
  m: 60,
  s: 1,
  ms: 0.001,
  us: 1e-6,
  µs: 1e-6,
  ns: 1e-9,
};
const DEFAULT = '7d';
const WRITTEN = [
  ['d', 86_400],
  ['h', 3600],
  ['m', 60],
] as const;

/**
 * Converts `proxy.ttl` to one of our durations. Go writes it as `168h` or `1h30m`, or as a number of
 * nanoseconds. Undefined if it is not a duration. 0 means never in both.
 */
export function expiryOf(ttl: unknown): string | undefined {
  if (ttl === undefined || ttl === null) return DEFAULT;
  const seconds = secondsIn(String(ttl));
  if (seconds === undefined) return undefined;
  if (seconds <= 0) return '0';
  const whole = Math.max(1, Math.round(seconds));
  const [unit, size] = WRITTEN.find(([, length]) => whole % length === 0) ?? ['s', 1];
  return `${whole / size}${unit}`;
}

function secondsIn(text: string): number | undefined {
  if (/^-?\d+$/.test(text)) return Number(text) * 1e-9;
  if (!/^(?:\d+(?:\.\d+)?(?:h|ms|m|s|us|µs|ns))+$/.test(text)) return undefined;
  return [...text.matchAll(/([\d.]+)(h|ms|m|s|us|µs|ns)/g)].reduce(
    (sum, [, amount, unit]) => sum + Number(amount) * (UNITS[unit ?? ''] ?? 0),
    0,
  );
}
