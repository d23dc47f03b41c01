/**
 * Lets one question about a person run at a time. A provider accepts most refresh tokens once, and if it sees
 * one again, it ends all tokens of that person.
 */
export interface ConfirmationClaims {
  /**
   * `person` is a login and a stable id. Resolves to false if somebody else asks about the person at the
   * moment.
   */
  take(person: string): Promise<boolean>;
  /** Called when what the provider said is stored. */
  release(people: readonly string[]): Promise<void>;
}

/** The claims within this process. */
export function localClaims(): ConfirmationClaims {
  const taken = new Set<string>();
  return {
    take: async (person) => {
      if (taken.has(person)) return false;
      taken.add(person);
      return true;
    },
    release: async (people) => {
      for (const person of people) taken.delete(person);
    },
  };
}
