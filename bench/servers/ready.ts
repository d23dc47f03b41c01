import { run } from '../../test/e2e/support/process.ts';
import { ask } from '../../test/support/http.ts';

/** True if anything answers with HTTP over TLS there. */
export function answers(port: number): Promise<boolean> {
  const options = {
    tls: true,
    host: '127.0.0.1',
    port,
    path: '/v2/',
    agent: false,
    rejectUnauthorized: false,
  };
  return ask(options).then(
    () => true,
    () => false,
  );
}

export async function onPath(program: string): Promise<boolean> {
  return (await run('sh', ['-c', `command -v ${program}`])).code === 0;
}
