import type { AuthState } from '../state/auth-state.ts';

/** The numbers of what was copied. What the target has already is not counted. */
export interface TransferredState {
  readonly tokens: number;
  readonly logins: number;
  readonly certificates: number;
  readonly people: number;
}

/**
 * Copies tokens, logins, certificates and people from one state to another. What the target has stays as it
 * is there, so a copy that broke off can be repeated. A certificate that was revoked in the source is revoked
 * in the target too.
 */
export async function transferState(from: AuthState, to: AuthState): Promise<TransferredState> {
  const done = { tokens: 0, logins: 0, certificates: 0, people: 0 };
  for (const token of await from.tokens()) {
    if ((await to.token(token.id)) !== undefined) continue;
    await to.putToken(token);
    done.tokens++;
  }
  for (const login of await from.logins()) {
    if ((await to.login(login.id)) !== undefined) continue;
    await to.putLogin(login);
    done.logins++;
  }
  const known = new Map((await to.certificates()).map((one) => [one.fingerprint, one]));
  for (const certificate of await from.certificates()) {
    const { fingerprint, revokedAt } = certificate;
    const found = known.get(fingerprint);
    if (found === undefined) {
      await to.putCertificate(certificate);
      done.certificates++;
    } else if (revokedAt !== null) await to.revokeCertificate(fingerprint, revokedAt);
  }
  done.people = await transferPeople(from, to);
  return done;
}

async function transferPeople(from: AuthState, to: AuthState): Promise<number> {
  let count = 0;
  for (const person of await from.people()) {
    const { name, login, stableId } = person;
    const byId = stableId === null ? undefined : await to.personOf(login, stableId);
    if ((byId ?? (await to.person(name))) !== undefined) continue;
    await to.putPerson(person);
    count++;
  }
  return count;
}
