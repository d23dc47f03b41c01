/** A machine that waits until somebody approves it, as RFC 8628 describes. It contains no secret. */
export interface StoredDevice {
  /** The SHA-256 of the device code as hex. A random code of 256 bits needs no slow hash. */
  readonly hash: string;
  /** The code that somebody types to approve the machine, without a hyphen. No two machines have the same. */
  readonly userCode: string;
  /** The name that the machine gave itself. */
  readonly machine: string;
  /** The address that it asked from. */
  readonly address: string;
  /** All times are in milliseconds since the epoch. */
  readonly createdAt: number;
  readonly expiresAt: number;
  /** The answer; null until somebody has given one. */
  readonly decision: DeviceDecision | null;
}

export interface DeviceDecision {
  readonly user: string;
  /** The name of the login that vouches for the user; null if the user is in the users file. */
  readonly login: string | null;
  /** The id of the user's entry at that time; null if it had none. */
  readonly ownerId: string | null;
  readonly isApproved: boolean;
}

export interface DeviceRow {
  readonly hash: string;
  readonly user_code: string;
  readonly machine: string;
  readonly address: string;
  readonly created_at: number;
  readonly expires_at: number;
  readonly decided_by: string | null;
  readonly login: string | null;
  readonly owner_id: string | null;
  readonly approved: number | null;
}

export const DEVICE_TABLE = `
  CREATE TABLE device (
    hash TEXT PRIMARY KEY, user_code TEXT NOT NULL UNIQUE, machine TEXT NOT NULL, address TEXT NOT NULL,
    created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, decided_by TEXT, login TEXT, owner_id TEXT,
    approved INTEGER
  ) STRICT, WITHOUT ROWID;
`;

export function deviceIn(row: DeviceRow): StoredDevice {
  const { decided_by: user, login, owner_id: ownerId, approved } = row;
  return {
    hash: row.hash,
    userCode: row.user_code,
    machine: row.machine,
    address: row.address,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    decision: user === null ? null : { user, login, ownerId, isApproved: approved === 1 },
  };
}
