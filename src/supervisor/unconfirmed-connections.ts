import type { Worker } from 'node:cluster';

/** What Node's primary and its workers say to each other about a connection; more fields than these are sent. */
interface ClusterMessage {
  readonly act?: string;
  readonly seq?: number;
  readonly ack?: number;
}

/** Milliseconds. What a worker said last can be read for a moment after it has ended. */
const LAST_WORDS = 5;

/**
 * Hands a connection that was on its way to a worker when it died to another one. Node's primary keeps a connection until the
 * worker has confirmed it, and waits for the word of a dead one for ever: the client hangs until its own deadline. A word that is
 * missing at the end therefore counts as "not accepted", on which Node hands the connection on.
 *
 * It rests on messages that Node does not document (`lib/internal/cluster/round_robin_handle.js`, `handoff`, and `utils.js`); where they
 * become others, connections hang again, and the test of this file fails.
 */
export function handOnUnconfirmed(worker: Worker): void {
  const unconfirmed = new Set<number>();
  const channel = worker.process;
  const send = channel.send.bind(channel) as (...args: unknown[]) => boolean;
  channel.send = (...args: unknown[]) => {
    const { act, seq } = args[0] as ClusterMessage;
    if (act === 'newconn' && seq !== undefined) unconfirmed.add(seq);
    return send(...args);
  };
  channel.on('internalMessage', ({ ack }: ClusterMessage) => {
    if (ack !== undefined) unconfirmed.delete(ack);
  });
  const handOn = () => {
    if (channel.connected) return void setTimeout(handOn, LAST_WORDS);
    for (const ack of unconfirmed)
      channel.emit('internalMessage', { cmd: 'NODE_CLUSTER', ack, accepted: false });
  };
  // Not 'disconnect': while a connection is under way, Node does not say it.
  channel.once('exit', handOn);
}
