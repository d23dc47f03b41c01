import { isName } from '../../../access/subject.ts';
import type { Clock } from '../../../platform/clock.ts';
import type { Logger } from '../../../platform/log.ts';
import type { ObservableValue } from '../../../platform/observable-value.ts';
import { CONFIRMATION } from '../../limits.ts';
import type { AuthState } from '../../state/auth-state.ts';
import type { StoredPerson } from '../../state/stored-person.ts';
import type { Users } from '../users-file.ts';
import { namedAs } from './bind-person.ts';
import type { ConfirmationClaims } from './confirmation-claims.ts';
import type { GroupedPerson } from './directory.ts';
import { REFRESH_PURPOSE, type TextSeal } from './sealed-text.ts';

export interface ConfirmPeopleOptions {
  readonly state: AuthState;
  readonly users: ObservableValue<Users>;
  readonly seal: TextSeal;
  readonly claims: ConfirmationClaims;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Records confirmations together, because each write is synced and tells everybody. */
export class ConfirmationRound {
  readonly #login: string;
  readonly #options: ConfirmPeopleOptions;
  #unchanged: { readonly name: string; readonly refresh: string | null }[] = [];
  /** The people whose claims end when everything of them is written. */
  #claimed: string[] = [];
  #begun = performance.now();

  constructor(login: string, options: ConfirmPeopleOptions) {
    this.#login = login;
    this.#options = options;
  }

  async confirm(person: StoredPerson, said: GroupedPerson): Promise<void> {
    const { seal, clock, state } = this.#options;
    const refresh = said.refreshToken === undefined ? null : seal.seal(REFRESH_PURPOSE, said.refreshToken);
    const name = await this.#nameOf(person, said.name);
    const isSame =
      person.refusedAt === null && name === person.name && sameGroups(person.groups, said.groups);
    if (isSame) {
      this.#unchanged.push({ name, refresh });
      if (this.#unchanged.length >= CONFIRMATION.together) await this.end();
      return;
    }
    const now = clock();
    const confirmed = {
      ...{ ...person, name, groups: said.groups, confirmedAt: now, refusedAt: null },
      ...{ ...namedAs(name, person, now), refresh: refresh ?? person.refresh },
    };
    // The provider may have reported after its answer that the person has left.
    await state.updatePerson(person.name, confirmed, person.refusedAt);
  }

  /**
   * Keeps a claim until what was said about that person is written. A new refresh token is not kept in memory
   * for long: if this process ended, its owner would have to log in again.
   */
  async hold(claimed: string): Promise<void> {
    this.#claimed.push(claimed);
    const isOld = performance.now() - this.#begun >= CONFIRMATION.writtenWithin;
    if (isOld || this.#claimed.length >= CONFIRMATION.claimed) await this.end();
  }

  async end(): Promise<void> {
    const [people, claimed] = [this.#unchanged, this.#claimed];
    this.#unchanged = [];
    this.#claimed = [];
    this.#begun = performance.now();
    const { state, clock, claims } = this.#options;
    try {
      if (people.length > 0) await state.confirmPeople(this.#login, people, clock());
    } finally {
      if (claimed.length > 0) await claims.release(claimed);
    }
  }

  /** Returns the name that a person has from now on: that of the directory, if nobody else has it here. */
  async #nameOf({ name: before }: StoredPerson, name: string): Promise<string> {
    const { state, users, log } = this.#options;
    if (name === before) return name;
    if (isName(name) && !users.current.has(name) && (await state.person(name)) === undefined) return name;
    log.warn(
      { login: this.#login, user: before },
      'a new name of the directory cannot be taken over, so the old one stays',
    );
    return before;
  }
}

function sameGroups(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((group, index) => group === other[index]);
}
