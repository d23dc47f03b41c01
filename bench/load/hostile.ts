/**
 * A hostile client in a process of its own with the lowest priority, so that it only takes CPU time which
 * others leave: in reality it would use its own CPU.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setPriority } from 'node:os';
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
const LOWEST_PRIORITY = 19;
const PIPELINED = 60_000;
const LOGIN_CONNECTIONS = 64;
const COLD_TAGS = 5_000;
const COLD_CONNECTIONS = 250;
const UNREAD_CONNECTIONS = 100;
const UNREAD_PIPELINES = 3;
const UNREAD_PIPELINED = 3_000;

/** Attacks until it is disposed of. Resolves when the attack has begun. */
export async function attack(job: AttackJob): Promise<AsyncDisposable> {
  const child = fork(fileURLToPath(import.meta.url));
  child.send(job);
  await once(child, 'message');
  return {
    async [Symbol.asyncDispose]() {
      // An attack whose connections were all closed has ended by itself.
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, 'exit');
      child.kill();
      await exited;
    },
  };
}

const request = (target: string, authorization?: string) =>
  `GET ${target} HTTP/1.1\r\nHost: localhost\r\n${authorization === undefined ? '' : `Authorization: ${authorization}\r\n`}\r\n`;

function connection(port: number): TLSSocket {
  const from = { host: '127.0.0.1', port, localAddress: ADDRESS };
  const socket = connect({ ...from, rejectUnauthorized: false });
  socket.on('error', () => {});
  return socket;
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
    socket.on('data', ask);
    socket.on('close', begin);
  };
  for (let count = 0; count < connections; count++) begin();
}

function pipeline(port: number): void {
  const text = request('/token?service=x').repeat(PIPELINED);
  const begin = () => {
    const socket = connection(port);
    socket.on('secureConnect', () => socket.write(text));
    socket.resume();
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
  setPriority(LOWEST_PRIORITY);
  process.once('message', (job: AttackJob) => {
    begin(job);
    process.send?.('begun');
  });
}
