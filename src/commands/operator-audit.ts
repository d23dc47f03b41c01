import { mkdir, open, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Config } from '../config/config.ts';
import { formatAuditLine } from '../gateway/audit/audit.ts';
import { systemClock } from '../platform/clock.ts';
import type { AuditLine } from '../protocol/audit-line.ts';

/** The subject of what somebody does on the mirror's own machine. No subject of a policy has this name. */
export const OPERATOR = 'operator';

type OperatorAuditLine = Omit<AuditLine, 'address' | 'credential' | 'milliseconds'>;

/** The audit log, in which a command records what it changes. It is the file that the gateways write. */
export interface OperatorAudit extends AsyncDisposable {
  /** Appends a line, and makes it durable. `started` is a time of the monotonic clock. */
  write(line: OperatorAuditLine, started: number): Promise<void>;
}

/**
 * Opens the audit log before anything is changed, so that nothing is changed that cannot be recorded. In a
 * cluster its lines name the node, as those of gateways do.
 * @throws the error of the system, if the log cannot be written
 */
export async function openOperatorAudit({
  log: { audit: file },
  cluster,
}: Pick<Config, 'log' | 'cluster'>): Promise<OperatorAudit> {
  await mkdir(path.dirname(file), { recursive: true });
  const handle = await open(file, 'a+', 0o640);
  try {
    await keepOwner(file, handle);
  } catch (error) {
    await handle.close();
    throw error;
  }
  return {
    write: async (line, started) => {
      const whole: AuditLine = {
        ...{ ...line, address: 'local', credential: OPERATOR },
        milliseconds: Math.round(performance.now() - started),
      };
      const text = formatAuditLine(whole, new Date(systemClock()).toISOString(), cluster?.node);
      // A full disk may have stopped a gateway in the middle of a line.
      const isTorn = await endsWithinLine(handle);
      await handle.write(`${isTorn ? '\n' : ''}${text}\n`);
      // The log may be a pipe or a device, which cannot be synced.
      if ((await handle.stat()).isFile()) await handle.sync();
    },
    [Symbol.asyncDispose]: () => handle.close(),
  };
}

type Handle = Awaited<ReturnType<typeof open>>;

/**
 * A log that root has just begun belongs to the owner of its directory, or the gateways could not write it.
 */
async function keepOwner(file: string, handle: Handle): Promise<void> {
  const own = await handle.stat();
  if (own.uid !== 0 || own.size > 0 || !own.isFile()) return;
  const { uid, gid } = await stat(path.dirname(file));
  if (uid !== own.uid) await handle.chown(uid, gid);
}

async function endsWithinLine(handle: Handle): Promise<boolean> {
  const stats = await handle.stat();
  if (!stats.isFile() || stats.size === 0) return false;
  const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, stats.size - 1);
  return buffer[0] !== 0x0a;
}
