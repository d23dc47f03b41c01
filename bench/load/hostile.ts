/**
 * A hostile client in a process of its own with the lowest priority, so that it only takes CPU time which
 * others leave: in reality it would use its own CPU.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setPriority } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { connect, type TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { basic } from '../../test/support/test-hubgate.ts';

export type Attack = 'pipelined' | 'logins' | 'cold-tags' | 'unread';

export interface AttackJob {
  readonly attack: Attack;
  readonly port: number;
  /** The login of a user who may pull. */
  readonly authorization: string;
  /** The path of a cached layer. */
  readonly layer: string;
}

/** The source address, which differs from that of the other clients. */
const ADDRESS = '127.0.0.2';
export const LOWEST_PRIORITY = 19;
const PIPELINED = 60_000;
const LOGIN_CONNECTIONS = 64;
const COLD_TAGS = 5_000;
const COLD_CONNECTIONS = 250;
const UNREAD_CONNECTIONS = 100;
const UNREAD_PIPELINES = 3;
const UNREAD_PIPELINED = 3_000;

export interface RunningAttack extends AsyncDisposable {
  /** The number of answers that came so far, where the attackers read any. */
  readonly answers: number;
}

/** Milliseconds between two messages with the number of answers. */
const COUNT_EVERY = 100;
/** Milliseconds. */
const CONNECT_PATIENCE = 3_000;
const CONNECT_LOOK = 20;

/** Attacks until it is disposed of. Resolves when the attack has begun. */
export async function attack(job: AttackJob): Promise<RunningAttack> {
  const child = fork(fileURLToPath(import.meta.url));
  child.send(job);
  await once(child, 'message');
  let answers = 0;
  child.on('message', (count: number) => {
    answers = count;
  });
  return {
    get answers() {
      return answers;
    },
    async [Symbol.asyncDispose]() {
      // An attack whose connections were all closed has ended by itself.
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, 'exit');
      child.kill();
      await exited;
    },
  };
}

const STATUS_LINE = 'HTTP/1.1 ';

/** The number of answers so far. */
let answers = 0;

const request = (target: string, authorization?: string) =>
  `GET ${target} HTTP/1.1\r\nHost: localhost\r\n${authorization === undefined ? '' : `Authorization: ${authorization}\r\n`}\r\n`;

/** The connections that are being opened. */
let opening = 0;

function connection(port: number): TLSSocket {
  const from = { host: '127.0.0.1', port, localAddress: ADDRESS };
  const socket = connect({ ...from, rejectUnauthorized: false });
  const opened = () => void opening--;
  opening++;
  socket.once('secureConnect', () => socket.off('close', opened));
  socket.once('secureConnect', opened);
  socket.once('close', opened);
  socket.on('error', () => {});
  return socket;
}

/** Resolves when the first connections are open, or some seconds have passed. */
async function connected(): Promise<void> {
  const end = performance.now() + CONNECT_PATIENCE;
  while (opening > 0 && performance.now() < end) await delay(CONNECT_LOOK);
}

/**
 * Opens connections that send one request after the other, each when the previous one is answered. A closed
 * connection is opened again.
 */
function askOn(port: number, connections: number, next: () => string): void {
  const begin = () => {
    const socket = connection(port);
    const ask = () => socket.write(next());
    socket.on('secureConnect', ask);
    // Each answer is short, so it comes in one piece.
    socket.on('data', () => {
      answers++;
      ask();
    });
    socket.on('close', begin);
  };
  for (let count = 0; count < connections; count++) begin();
}

function pipeline(port: number): void {
  const text = request('/token?service=x').repeat(PIPELINED);
  const begin = () => {
    const socket = connection(port);
    socket.on('secureConnect', () => socket.write(text));
    socket.on('data', (chunk) => {
      answers += chunk.toString('latin1').split(STATUS_LINE).length - 1;
    });
    socket.on('close', begin);
  };
  begin();
}

function leaveUnread({ port, layer, authorization }: AttackJob): void {
  for (let count = 0; count < UNREAD_CONNECTIONS + UNREAD_PIPELINES; count++) {
    const times = count < UNREAD_PIPELINES ? UNREAD_PIPELINED : 1;
    const socket = connection(port);
    socket.on('secureConnect', () => socket.write(request(layer, authorization).repeat(times)));
    socket.pause();
  }
}

function begin(job: AttackJob): void {
  const { port, authorization } = job;
  let turn = 0;
  switch (job.attack) {
    case 'pipelined':
      return pipeline(port);
    case 'logins':
      return askOn(port, LOGIN_CONNECTIONS, () =>
        request('/token?service=x', basic(`user-${turn++ % 1000}`, `wrong ${turn}`)),
      );
    case 'cold-tags':
      return askOn(port, COLD_CONNECTIONS, () =>
        request(`/v2/library/bench/manifests/cold-${turn++ % COLD_TAGS}`, authorization),
      );
    case 'unread':
      return leaveUnread(job);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.once('disconnect', () => process.exit());
  process.once('message', async (job: AttackJob) => {
    begin(job);
    // At the lowest priority the handshakes of hundreds of connections would take longer than the
    // measurement.
    await connected();
    setPriority(LOWEST_PRIORITY);
    process.send?.(answers);
    setInterval(() => process.send?.(answers), COUNT_EVERY);
  });
}
