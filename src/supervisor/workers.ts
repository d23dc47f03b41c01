import type { ChildProcess } from 'node:child_process';
import cluster, { type ClusterSettings } from 'node:cluster';

/**
 * What workers are started as. They listen on sockets that are one for all of them, and each accepts from it by itself: a
 * connection that nobody has accepted is the next one's, whoever ends meanwhile, and a worker that is busy leaves it to one that
 * is not. Node's default, by which the primary accepts and hands on, costs it and the worker a message for each
 * connection, and a connection on its way to a worker that dies is lost.
 */
export function prepareWorkers(settings: ClusterSettings): void {
  cluster.schedulingPolicy = cluster.SCHED_NONE;
  cluster.setupPrimary(settings);
}

export function startWorker(env: NodeJS.ProcessEnv): ChildProcess {
  return cluster.fork(env).process as ChildProcess;
}
