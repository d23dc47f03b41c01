import { fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { type BenchImage, tell } from '../content.ts';
import type { Traffic, UpstreamOrder } from '../upstream-process.ts';

/** The bench's side of the stand-in Hub. */
export interface Upstream extends AsyncDisposable {
  readonly pid: number;
  readonly url: URL;
  readonly tokenUrl: URL;
  /** The same Hub with its token service on the same origin, which some servers demand. */
  readonly frontUrl: URL;
  push(image: BenchImage): Promise<void>;
  /** Sets the bytes per second of all blobs together; null: unlimited. */
  setRate(rate: number | null): Promise<void>;
  takeTraffic(): Promise<Traffic>;
}

export async function startUpstream(): Promise<Upstream> {
  const child = fork(path.join(import.meta.dirname, '../upstream-process.ts'));
  const [{ url, tokenUrl, frontUrl }] = (await once(child, 'message')) as [Record<string, string>];
  const order = async (what: UpstreamOrder) => {
    const answered = once(child, 'message');
    child.send(what);
    return (await answered)[0];
  };
  return {
    pid: child.pid ?? 0,
    url: new URL(url ?? ''),
    tokenUrl: new URL(tokenUrl ?? ''),
    frontUrl: new URL(frontUrl ?? ''),
    push: async (image) => void (await order({ kind: 'push', image: tell(image) })),
    setRate: async (rate) => void (await order({ kind: 'rate', rate })),
    takeTraffic: () => order({ kind: 'take-traffic' }),
    async [Symbol.asyncDispose]() {
      const exited = once(child, 'exit');
      child.disconnect();
      await exited;
    },
  };
}
