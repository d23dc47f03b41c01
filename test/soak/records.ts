import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Findings } from './findings.ts';

/** Messages that say that the program is wrong, whatever the Hub does. */
const NEVER = [/failed: .*TypeError/, /unhandled/i, /the gateway failed/, /ZodError/, /is not a function/];

/** Reads the log: every line is JSON, and none says that the program is wrong. */
export function judgeLog(output: string, findings: Findings): void {
  for (const line of output.split('\n').filter((text) => text.startsWith('{'))) {
    const parsed = parse(line);
    if (parsed === undefined) findings.anomaly('a log line is torn', line.slice(0, 200));
    else findings.count(`log: ${parsed.msg}`);
    if (NEVER.some((pattern) => pattern.test(line)))
      findings.anomaly('the log says that the program is wrong', line.slice(0, 400));
  }
}

/** Reads all audit logs: no line is torn, and there are no fewer lines than answers. */
export async function judgeAudit(home: string, answers: number, findings: Findings): Promise<void> {
  const directory = path.join(home, 'state');
  const names = (await readdir(directory)).filter((name) => name.startsWith('audit.log'));
  let lines = 0;
  for (const name of names) {
    for (const line of (await readFile(path.join(directory, name), 'utf8')).split('\n')) {
      if (line === '') continue;
      lines++;
      if (parse(line) === undefined) findings.anomaly('an audit line is torn', line.slice(0, 200));
    }
  }
  findings.count('audit lines', lines);
  // A gateway that is killed takes the lines of its last moment with it.
  const lost = findings.counted('roles killed: gateway') * 50;
  if (lines < answers - lost) findings.anomaly('audit lines are missing', `${lines} for ${answers} answers`);
}

function parse(line: string): { readonly msg?: unknown } | undefined {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
