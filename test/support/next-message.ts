import type { ChildProcess } from 'node:child_process';

/**
 * Resolves to the next message of a child process.
 *
 * @throws if the child ends before, so that nothing waits for it forever
 */
export function nextMessage<T>(child: ChildProcess): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const onMessage = (message: unknown) => resolve(message as T);
  const onExit = (code: number | null, signal: string | null) =>
    reject(
      new Error(
        `the child process (${child.spawnargs.slice(1).join(' ')}) ended with ${signal ?? code} and said nothing`,
      ),
    );
  child.once('message', onMessage).once('exit', onExit);
  return promise.finally(() => child.off('message', onMessage).off('exit', onExit));
}
