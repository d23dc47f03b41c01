import { openSocketClient } from '../../src/platform/ipc/http-client.ts';

export interface AuthAnswer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

/** Sends one request to auth's socket, as the account page does. */
export async function askAuth(socket: string, path: string, body: unknown): Promise<AuthAnswer> {
  await using http = openSocketClient(socket);
  const headers = { 'content-type': 'application/json' };
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const answer = await http.ask({ method: 'POST', path, headers, body: text, deadline: 60_000 });
  return { status: answer.statusCode, body: answer.text === '' ? {} : JSON.parse(answer.text) };
}
