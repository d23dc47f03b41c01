import { readdir, readFile, readlink } from 'node:fs/promises';
import path from 'node:path';

export interface RolePid {
  readonly role: string;
  readonly pid: number;
}

/** Returns the roles that a supervisor runs now, read from /proc. */
export async function roleProcesses(supervisor: number): Promise<RolePid[]> {
  const children = await readFile(`/proc/${supervisor}/task/${supervisor}/children`, 'utf8');
  const found: RolePid[] = [];
  for (const pid of children.split(' ').filter(Boolean).map(Number)) {
    const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
    const role = words[words.indexOf('--role') + 1];
    if (words.includes('--role') && role !== undefined) found.push({ role, pid });
  }
  return found;
}

/** Returns the ports of the clients whose connections to `port` a process has open. */
export async function peersOf(pid: number, port: number): Promise<Set<number>> {
  const inodes = new Set<string>();
  for (const descriptor of await readdir(`/proc/${pid}/fd`)) {
    const target = await readlink(path.join(`/proc/${pid}/fd`, descriptor)).catch(() => '');
    const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
    if (inode !== undefined) inodes.add(inode);
  }
  const peers = new Set<number>();
  for (const table of ['tcp', 'tcp6']) {
    // The columns are those of proc_pid_net(5): sl local_address rem_address st … inode, with addresses in
    // hexadecimal.
    for (const line of (await readFile(`/proc/${pid}/net/${table}`, 'utf8')).split('\n').slice(1)) {
      const [, local, remote, , , , , , , inode] = line.trim().split(/\s+/);
      if (inode === undefined || !inodes.has(inode) || portOf(local) !== port) continue;
      peers.add(portOf(remote));
    }
  }
  return peers;
}

function portOf(address = ''): number {
  return Number.parseInt(address.split(':')[1] ?? '', 16);
}
