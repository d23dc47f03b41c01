/** Reads the attributes of an entry, and whether its owner may still log in. */

/** An entry as the library gives it: a value, or a list of values, for each attribute. */
type LdapEntry = Readonly<Record<string, unknown>>;

/** Attributes have no case. */
export function valuesOf(entry: LdapEntry, attribute: string): readonly string[] {
  const [, value = []] =
    Object.entries(entry).find(([key]) => key.toLowerCase() === attribute.toLowerCase()) ?? [];
  return [value].flat().map(String);
}

/** The attributes by which directories say that an entry is locked, or when it ends. */
export const LOCKS = [
  'userAccountControl',
  'accountExpires',
  'pwdAccountLockedTime',
  'nsAccountLock',
] as const;

const AD_DISABLED = 2;
/** The password policy of OpenLDAP writes this for an entry that an administrator has locked. */
const LOCKED_FOR_EVER = '000001010000Z';

/** True if an entry is locked, or has ended at the time `now`. */
export function isLocked(entry: LdapEntry, now: number): boolean {
  const [control = '0'] = valuesOf(entry, 'userAccountControl');
  const [expires = NEVER] = valuesOf(entry, 'accountExpires');
  return (
    (Number(control) & AD_DISABLED) !== 0 ||
    endOf(expires) <= now ||
    valuesOf(entry, 'pwdAccountLockedTime').includes(LOCKED_FOR_EVER) ||
    valuesOf(entry, 'nsAccountLock').some((text) => text.toLowerCase() === 'true')
  );
}

const NEVER = '0';
/** Active Directory counts the hundreds of nanoseconds since the beginning of 1601. */
const PER_MILLISECOND = 10_000n;
const EPOCH_OF_AD = Date.UTC(1601, 0, 1);

/**
 * Returns the milliseconds since the epoch at which an account of Active Directory ends. The largest number
 * that it writes means never; as a time it is in the year 30828.
 */
function endOf(expires: string): number {
  const isTime = expires !== NEVER && /^\d{1,19}$/.test(expires);
  return isTime ? Number(BigInt(expires) / PER_MILLISECOND) + EPOCH_OF_AD : Number.POSITIVE_INFINITY;
}
