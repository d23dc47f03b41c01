import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import { mock, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { BANDWIDTH_TURNS } from '../../../src/core/limits.ts';
import { Bandwidth } from '../../../src/core/pull/bandwidth.ts';
import { DOCKER_HUB } from '../../../src/registry/repository.ts';
import { FakeHub } from '../../support/fake-hub.ts';
import { imageOf } from '../../support/image.ts';
import { TestCore } from '../../support/test-core.ts';
import { waitFor } from '../../support/wait-for.ts';

const MIB = 2 ** 20;
const MEMORY = Buffer.alloc(512 * 1024);
const NEVER = new AbortController().signal;

/** A download that reads on as fast as it may, from an upstream that is faster. */
class Download {
  bytes = 0;
  /** The pieces that were read from the upstream. */
  read = 0;
  readonly ended: Promise<void>;

  constructor(bandwidth: Bandwidth, piece: number, total = Number.POSITIVE_INFINITY, signal = NEVER) {
    const pieces = async function* (download: Download) {
      for (let at = 0; at < total; at += piece) {
        download.read++;
        yield MEMORY.subarray(0, Math.min(piece, total - at));
      }
    };
    this.ended = (async () => {
      for await (const bytes of bandwidth.pace(pieces(this), signal)) this.bytes += bytes.length;
    })();
    this.ended.catch(() => {});
  }
}

/** Lets a simulated time pass, in which everything happens at once between two ticks. */
async function pass(milliseconds: number): Promise<void> {
  for (let passed = 0; passed < milliseconds; passed += BANDWIDTH_TURNS.tick) {
    mock.timers.tick(BANDWIDTH_TURNS.tick);
    await turn();
  }
}

function simulated(name: string, body: () => Promise<void>): void {
  test(name, async () => {
    mock.timers.enable({ apis: ['setTimeout', 'Date'] });
    try {
      await body();
    } finally {
      mock.timers.reset();
    }
  });
}

function limitOf(bytesPerSecond: number): Bandwidth {
  return new Bandwidth({ bytesPerSecond, clock: Date.now });
}

for (const rate of [64 * 1024, MIB, 100 * MIB])
  simulated(`downloads share ${rate} bytes in a second, whatever the size of their pieces`, async () => {
    const bandwidth = limitOf(rate);
    const downloads = [16_000, 100_000, 512 * 1024, 512 * 1024].map(
      (piece) => new Download(bandwidth, piece),
    );
    const seconds = 10;
    await pass(seconds * 1000);
    const total = downloads.reduce((sum, { bytes }) => sum + bytes, 0);
    assert.ok(total <= rate * (seconds + 1) && total >= rate * (seconds - 1), `${total / rate} s`);
    for (const { bytes } of downloads) assert.ok(Math.abs(bytes / total - 0.25) < 0.03, `${bytes / total}`);
  });

simulated('a small download does not wait for the large ones before it', async () => {
  const bandwidth = limitOf(10 * MIB);
  for (let count = 0; count < 4; count++) new Download(bandwidth, 512 * 1024);
  await pass(10_000);
  const small = new Download(bandwidth, 512 * 1024, 2 * MIB);
  await pass(1_200);
  assert.equal(small.bytes, 2 * MIB, 'a fifth of the bandwidth is 2 MiB in a second');
});

simulated('a part that is not read piece by piece waits like the others, and no longer', async () => {
  const bandwidth = limitOf(MIB);
  const download = new Download(bandwidth, 512 * 1024);
  await pass(1_000);
  let parts = 0;
  const before = download.bytes;
  void (async () => {
    for (;;) {
      await bandwidth.take(100_000, NEVER);
      parts += 100_000;
    }
  })();
  await pass(10_000);
  const share = parts / (parts + download.bytes - before);
  assert.ok(Math.abs(share - 0.5) < 0.05, `${share}`);
});

simulated('a download that has waited for its upstream does not make up for that', async () => {
  const bandwidth = limitOf(10 * MIB);
  const gate = Promise.withResolvers<void>();
  const late = { bytes: 0 };
  void (async () => {
    const pieces = (async function* () {
      yield Buffer.alloc(1000);
      await gate.promise;
      for (;;) yield MEMORY;
    })();
    for await (const bytes of bandwidth.pace(pieces, NEVER)) late.bytes += bytes.length;
  })();
  const other = new Download(bandwidth, 512 * 1024);
  await pass(10_000);
  gate.resolve();
  const before = other.bytes;
  await pass(10_000);
  const share = (other.bytes - before) / (other.bytes - before + late.bytes);
  assert.ok(Math.abs(share - 0.5) < 0.03, `${share}`);
});

simulated('one timer serves all who wait', async () => {
  const bandwidth = limitOf(50 * MIB);
  const timers = mock.method(globalThis, 'setTimeout');
  for (let count = 0; count < 48; count++) new Download(bandwidth, 64 * 1024);
  await pass(10_000);
  const most = 10_000 / BANDWIDTH_TURNS.tick + 1;
  assert.ok(timers.mock.callCount() <= most, `${timers.mock.callCount()} timers`);
  timers.mock.restore();
});

simulated('what waits for its turn does not read on', async () => {
  const bandwidth = limitOf(MIB);
  const download = new Download(bandwidth, 512 * 1024);
  await pass(10_000);
  assert.ok(download.read * 512 * 1024 - download.bytes <= 512 * 1024, `${download.read} pieces`);
});

simulated('unused bandwidth is not saved up, and a jump of the clock gives none', async () => {
  const bandwidth = limitOf(MIB);
  await pass(60_000);
  mock.timers.setTime(Date.now() + 3_600_000);
  const download = new Download(bandwidth, 512 * 1024);
  await pass(1_000);
  assert.ok(download.bytes < 1.8 * MIB, `${download.bytes}`);
});

simulated('the end of a download frees its turn at once', async () => {
  const bandwidth = limitOf(64 * 1024);
  const ending = new AbortController();
  const first = new Download(bandwidth, 512 * 1024, Number.POSITIVE_INFINITY, ending.signal);
  await pass(1_000);
  ending.abort();
  await assert.rejects(first.ended, { name: 'AbortError' });
  const before = first.bytes;
  const second = new Download(bandwidth, 512 * 1024);
  await pass(10_000);
  assert.equal(first.bytes, before);
  assert.ok(second.bytes > 9 * 64 * 1024, `${second.bytes}`);
  await assert.rejects(bandwidth.take(1, ending.signal), { name: 'AbortError' });
});

/** Reads the progress of a fill. */
async function follow(response: IncomingMessage, onWritten: (written: number) => void): Promise<void> {
  for await (const line of createInterface(response)) {
    const { kind, written, size } = JSON.parse(line);
    if (kind === 'filling') onWritten(written);
    if (kind === 'verified') onWritten(size);
  }
}

test('fills from an upstream are no faster than its bandwidth, and share it', async () => {
  await using hub = await FakeHub.start();
  const rate = 4 * MIB;
  const size = 4 * MIB;
  const upstreams = [{ host: DOCKER_HUB, url: hub.url, bandwidth: rate }];
  await using core = await TestCore.start(hub, { upstreams, clock: Date.now });
  const layers = Array.from({ length: 2 }, (_, at) => {
    const image = imageOf({ layers: [randomBytes(size)] });
    hub.push(`library/layer${at}`, 'latest', image);
    return `library/layer${at}/blobs/${image.layers[0]}`;
  });
  // Both begin together, because the upstream waits for the second one.
  const gate = Promise.withResolvers<void>();
  hub.plant('cdn', /^GET/, { kind: 'pause', at: 500, gate: gate.promise });
  const fills = await Promise.all(layers.map((target) => core.open(target, 'private')));
  await waitFor(
    () => hub.log.filter(({ server, method }) => server === 'cdn' && method === 'GET').length === 2,
  );
  const started = performance.now();
  gate.resolve();
  const written = layers.map(() => 0);
  let behind: number | undefined;
  await Promise.all(
    fills.map((fill, at) =>
      follow(fill, (bytes) => {
        written[at] = bytes;
        // How far the other one has come at the end of the first.
        if (bytes === size) behind ??= Math.min(...written);
      }),
    ),
  );
  assert.deepEqual(written, [size, size]);
  // On a busy machine it can take longer, and never less.
  assert.ok(performance.now() - started > ((2 * size - rate / 2) / rate) * 900);
  assert.ok((behind ?? 0) > size / 2, `${behind}`);
});

test('a part of a blob that is fetched beside its fill counts too', async () => {
  await using hub = await FakeHub.start();
  const upstreams = [{ host: DOCKER_HUB, url: hub.url, bandwidth: MIB }];
  await using core = await TestCore.start(hub, { upstreams, clock: Date.now });
  const image = imageOf({ layers: [randomBytes(8 * MIB)] });
  hub.push('library/parts', 'latest', image);
  const target = `library/parts/blobs/${image.layers[0]}`;
  const gate = Promise.withResolvers<void>();
  hub.plant('cdn', /^GET/, { kind: 'pause', at: 500, gate: gate.promise }, 1);
  const fill = await core.open(target, 'private');
  const started = performance.now();
  const headers = { 'hubgate-range': `bytes=${5 * MIB}-${7 * MIB - 1}` };
  const part = await core.ask(target, { grant: 'private', headers });
  assert.equal(part.body.length, 2 * MIB);
  assert.ok(performance.now() - started > 1_500, 'two seconds less the burst');
  fill.destroy();
  gate.resolve();
});
