import type { DirectoryLogin } from '../config/login.ts';
import type { Clock } from '../platform/clock.ts';
import type { Meters } from '../platform/metrics.ts';
import type { ObservableValue } from '../platform/observable-value.ts';
import { countedPeople, isOfPerson, ownerIdOf } from './identity/directory/counted-people.ts';
import type { DirectoryLogins } from './identity/directory/directory-logins.ts';
import type { Users } from './identity/users-file.ts';
import type { AuthState } from './state/auth-state.ts';

export interface MeasuredDirectories {
  readonly directories: Pick<DirectoryLogins, 'isUp'>;
  readonly logins: readonly DirectoryLogin[];
  readonly state: AuthState;
  readonly users: ObservableValue<Users>;
  readonly clock: Clock;
}

/** Registers what is known of directories and their people. It is read when somebody asks. */
export function measureDirectories(meters: Meters, measured: MeasuredDirectories): void {
  const { directories, logins, state, users, clock } = measured;
  const counted = async () => [...countedPeople(await state.people(), logins, users.current).values()];
  meters.readGauge(
    'hubgate_directory_up',
    '1 if the directory of a login answered the last question, and 0 if it did not',
    () => [...directories.isUp].map(([login, isUp]) => ({ value: isUp ? 1 : 0, labels: { login } })),
    { labels: ['login'] },
  );
  meters.readGauge(
    'hubgate_directory_confirm_age_seconds',
    'The time since the directory confirmed the person whom it has not confirmed for the longest time',
    async () => {
      const people = await counted();
      return logins.map(({ name: login }) => {
        const times = people.filter((person) => person.login === login).map(({ confirmedAt }) => confirmedAt);
        const oldest = times.reduce((least, time) => Math.min(least, time), clock());
        return { value: Math.max(0, clock() - oldest) / 1000, labels: { login } };
      });
    },
    { labels: ['login'] },
  );
  meters.readGauge(
    'hubgate_people',
    'The people of directories: active, suspended because the directory has not confirmed them, or refused by it',
    async () => {
      const people = await state.people();
      const now = clock();
      const active = (await counted()).filter(({ until }) => until > now).length;
      const refused = people.filter(({ refusedAt }) => refusedAt !== null).length;
      const suspended = people.length - active - refused;
      return Object.entries({ active, suspended, refused }).map(([label, value]) => ({
        value,
        labels: { state: label },
      }));
    },
    { labels: ['state'] },
  );
  meters.readGauge(
    'hubgate_suspended_tokens',
    'Tokens of people whom their directory does not confirm, or has refused',
    async () => {
      const now = clock();
      const active = new Set((await counted()).filter(({ until }) => until > now).map(ownerIdOf));
      const tokens = (await state.tokens()).filter((token) => isOfPerson(token) && token.expiresAt > now);
      return [{ value: tokens.filter(({ ownerId }) => !active.has(ownerId ?? '')).length }];
    },
  );
}
