import assert from 'node:assert/strict';
import { test } from 'node:test';
import type {
  AuthState,
  StoredCertificate,
  StoredLogin,
  StoredSession,
  StoredToken,
} from '../../../src/auth/state/auth-state.ts';
import type { StoredDevice } from '../../../src/auth/state/stored-device.ts';
import type { StoredPerson } from '../../../src/auth/state/stored-person.ts';
import { waitFor } from '../../support/wait-for.ts';

export interface OpenedAuthState extends AsyncDisposable {
  readonly state: AuthState;
  /** The same state, opened once more, as a command opens it while auth runs. The caller disposes of it. */
  openAgain(): Promise<AuthState>;
  /** Puts `count` tokens of `owner` in a process of its own. Resolves to its exit code. */
  putTokensApart(owner: string, count: number): Promise<number>;
}

function token(id: string, createdAt = 1): StoredToken {
  return {
    ...{ id, owner: 'ci-pay', ownerId: null, hash: 'ab', createdAt, expiresAt: 2 },
    ...{
      pull: ['docker.io/acme/**'],
      from: null,
      lastUsedAt: null,
      lastUsedFrom: null,
      warnedAt: null,
      label: null,
    },
  };
}

function login(id: string, createdAt = 1): StoredLogin {
  const owner = { user: 'ana', hash: 'cd', credential: 'pw_1', client: 'docker' };
  return { id, ...owner, createdAt, expiresAt: 2, lastUsedAt: null };
}

function session(hash: string, createdAt = 1): StoredSession {
  const proof = { user: 'ana', login: null, credential: 'pw_1', sid: null };
  return { hash, ...proof, createdAt, usedAt: 2, expiresAt: 3, authenticatedAt: 1 };
}

function device(hash: string, createdAt = 1): StoredDevice {
  const asked = { userCode: `BCDF${hash}`, machine: 'ana’s laptop', address: '10.1.2.3' };
  return { hash, ...asked, createdAt, expiresAt: 3, decision: null };
}

function certificate(fingerprint: string): StoredCertificate {
  const names = { tbsHash: 'ab', name: 'node-7', serial: '01' };
  return { fingerprint, ...names, issuedAt: 1, expiresAt: 2, revokedAt: null };
}

function person(name: string, stableId: string | null = `id-${name}`): StoredPerson {
  const times = { confirmedAt: 1, refusedAt: null, linkedAt: null, namedAt: null };
  return { name, login: 'corp', stableId, groups: ['a', 'b c/ü'], ...times, refresh: null, sid: null };
}

/** Registers the tests that every implementation of the state must pass. `open` opens an empty one. */
export function testAuthState(name: string, open: () => Promise<OpenedAuthState>): void {
  const check = (what: string, task: (state: AuthState, opened: OpenedAuthState) => Promise<void>) =>
    test(`${name}: ${what}`, async () => {
      await using opened = await open();
      await task(opened.state, opened);
    });

  check(
    'everything that was put is there for whoever opens it, in the order of its making',
    async (state, opened) => {
      const full = { ...token('t1', 2), ownerId: 'a1', pull: null, from: ['10.0.0.0/8'] };
      const used = { ...full, lastUsedAt: 3, lastUsedFrom: '10.1.1.1', warnedAt: 4, label: 'ana’s laptop' };
      await state.putToken(used);
      await state.putToken(token('t2', 1));
      await state.putLogin(login('l1', 2));
      await state.putLogin(login('l2', 1));
      await state.putSession({ ...session('s1', 2), login: 'corp', sid: 'at the provider' });
      await state.putSession(session('s2', 1));
      await state.putCertificate(certificate('ef'));
      await using again = await opened.openAgain();
      assert.deepEqual(await again.tokens(), [token('t2', 1), used]);
      assert.deepEqual(await again.token('t1'), used);
      assert.deepEqual(await again.logins(), [login('l2', 1), login('l1', 2)]);
      assert.deepEqual(await again.login('l1'), login('l1', 2));
      assert.deepEqual(await again.sessions(), [
        session('s2', 1),
        { ...session('s1', 2), login: 'corp', sid: 'at the provider' },
      ]);
      assert.deepEqual(await again.session('s2'), session('s2', 1));
      assert.equal(await again.session('none'), undefined);
      assert.deepEqual(await again.certificates(), [certificate('ef')]);
      assert.deepEqual([await again.token('none'), await again.login('none')], [undefined, undefined]);
    },
  );

  check('a machine that waits is found by both of its codes, and is answered once', async (state, opened) => {
    await using again = await opened.openAgain();
    await state.putDevice(device('d1', 2));
    await state.putDevice(device('d2', 1));
    assert.deepEqual(await again.devices(), [device('d2', 1), device('d1', 2)]);
    assert.deepEqual(await again.device('d1'), device('d1', 2));
    assert.deepEqual(await again.deviceOf('BCDFd1'), device('d1', 2));
    assert.deepEqual([await again.device('BCDFd1'), await again.deviceOf('d1')], [undefined, undefined]);
    await assert.rejects(again.putDevice({ ...device('d3'), userCode: 'BCDFd1' }));
    await assert.rejects(again.putDevice({ ...device('d1'), userCode: 'BCDFd3' }));
    const yes = { user: 'ana', login: 'corp', ownerId: 'id-1', isApproved: true };
    const no = { user: 'bo', login: null, ownerId: null, isApproved: false };
    const before = state.changes.current;
    assert.deepEqual(await Promise.all([state.decideDevice('d1', yes)]), [true]);
    assert.deepEqual(
      [await again.decideDevice('d1', no), await again.decideDevice('none', no)],
      [false, false],
    );
    assert.equal(await again.decideDevice('d2', no), true);
    assert.deepEqual((await again.device('d1'))?.decision, yes);
    assert.deepEqual((await state.device('d2'))?.decision, no);
    assert.deepEqual([await again.removeDevice('d1'), await state.removeDevice('d1')], [true, false]);
    assert.equal(await state.device('d1'), undefined);
    assert.equal(state.changes.current, before);
  });

  check('a person is found by name and by id, and has both alone', async (state, opened) => {
    await using again = await opened.openAgain();
    const full = { ...person('zoe'), refusedAt: 2, refresh: 'sealed', sid: 's1', linkedAt: 3, namedAt: 4 };
    await state.putPerson(full);
    await state.putPerson(person('ana'));
    assert.deepEqual(await again.people(), [person('ana'), full]);
    assert.deepEqual(await again.person('zoe'), full);
    assert.deepEqual(await again.personOf('corp', 'id-zoe'), full);
    assert.deepEqual(
      [await again.person('bo'), await again.personOf('other', 'id-zoe')],
      [undefined, undefined],
    );
    await assert.rejects(again.putPerson(person('ana', 'other')));
    await assert.rejects(again.putPerson(person('other', 'id-ana')));
    await state.putPerson({ ...person('ann', 'id-ana'), login: 'other' });
    // Names that an operator has linked have no id until their owner logs in.
    await state.putPerson(person('p1', null));
    await state.putPerson(person('p2', null));
    assert.equal((await again.people()).length, 5);
  });

  check('a text that a database cannot keep finds nothing, and is no fault', async (state) => {
    await state.putPerson(person('ana'));
    for (const text of ['ana\0', '\0', 'half \ud800']) {
      const found = [state.token(text), state.login(text), state.session(text), state.device(text)];
      const others = [state.deviceOf(text), state.person(text), state.personOf('corp', text)];
      assert.deepEqual(new Set(await Promise.all([...found, ...others])), new Set([undefined]));
    }
  });

  check('a person is changed and renamed only as long as nobody else has the name', async (state, opened) => {
    await using again = await opened.openAgain();
    await state.putPerson(person('ana'));
    await state.putPerson(person('bo'));
    await state.putPerson(person('pending', null));
    assert.equal(await again.updatePerson('ana', { ...person('anna', 'id-ana'), groups: [] }), true);
    assert.deepEqual(await state.personOf('corp', 'id-ana'), { ...person('anna', 'id-ana'), groups: [] });
    assert.equal(await again.updatePerson('ana', person('ana')), false);
    assert.equal(await again.updatePerson('bo', person('bo', 'another')), false);
    assert.equal(await again.updatePerson('bo', { ...person('bo'), login: 'other' }), false);
    await assert.rejects(again.updatePerson('bo', person('anna', 'id-bo')));
    assert.equal(await again.updatePerson('pending', person('pending', 'id-9')), true);
    assert.equal((await state.person('pending'))?.stableId, 'id-9');
    // A change that was decided before somebody else refused the person, or confirmed the person again.
    const refused = { ...person('bo'), refusedAt: 7 };
    assert.equal(await again.updatePerson('bo', refused, 6), false);
    assert.equal(await again.updatePerson('bo', refused, null), true);
    assert.equal(await again.updatePerson('bo', person('bo'), null), false);
    assert.equal((await state.person('bo'))?.refusedAt, 7);
    assert.equal(await again.updatePerson('bo', person('bo'), 7), true);
    assert.deepEqual([await state.removePerson('bo'), await again.removePerson('bo')], [true, false]);
  });

  check(
    'many people are confirmed at once, except those whom the directory refused',
    async (state, opened) => {
      await using again = await opened.openAgain();
      await state.putPerson(person('ana'));
      await state.putPerson(person('bo'));
      await state.putPerson({ ...person('cy'), refusedAt: 2 });
      await state.putPerson({ ...person('di'), login: 'other' });
      const noticed = again.changes.changed();
      const confirmed = ['ana', 'cy', 'di', 'nobody'].map((name) => ({ name, refresh: 'next' }));
      await state.confirmPeople('corp', confirmed, 8);
      await noticed;
      await state.confirmPeople('corp', [{ name: 'ana', refresh: null }], 9);
      assert.equal((await state.person('ana'))?.refresh, 'next');
      assert.deepEqual(
        (await again.people()).map(({ name, confirmedAt }) => [name, confirmedAt]),
        [
          ['ana', 9],
          ['bo', 1],
          ['cy', 1],
          ['di', 1],
        ],
      );
    },
  );

  check('an id is put once', async (state) => {
    await state.putToken(token('t1'));
    await assert.rejects(state.putToken({ ...token('t1'), owner: 'other' }));
    assert.deepEqual(await state.tokens(), [token('t1')]);
    await state.putLogin(login('l1'));
    await assert.rejects(state.putLogin({ ...login('l1'), user: 'other' }));
    await state.putSession(session('s1'));
    await assert.rejects(state.putSession({ ...session('s1'), user: 'other' }));
    await state.putCertificate(certificate('ef'));
    await assert.rejects(state.putCertificate({ ...certificate('ef'), name: 'other' }));
  });

  check('what is removed or revoked is so at once, also elsewhere, and once', async (state, opened) => {
    await state.putToken(token('t1'));
    await state.putLogin(login('l1'));
    await state.putCertificate(certificate('ef'));
    await using again = await opened.openAgain();
    assert.deepEqual([await again.removeToken('t1'), await state.removeToken('t1')], [true, false]);
    assert.equal(await state.token('t1'), undefined);
    assert.deepEqual([await again.removeLogin('l1'), await state.removeLogin('l1')], [true, false]);
    assert.equal(await state.login('l1'), undefined);
    await state.putSession(session('s1'));
    assert.deepEqual([await again.removeSession('s1'), await state.removeSession('s1')], [true, false]);
    assert.equal(await state.session('s1'), undefined);
    assert.equal(await again.revokeCertificate('ef', 7), true);
    assert.equal(await state.revokeCertificate('ef', 8), false);
    assert.equal(await state.revokeCertificate('none', 8), false);
    assert.equal((await state.certificates())[0]?.revokedAt, 7);
  });

  check('uses are written at the end at the latest, and are no change', async (state, opened) => {
    const user = await opened.openAgain();
    for (const put of [() => state.putToken(token('t1')), () => state.putLogin(login('l1'))]) {
      const noticed = user.changes.changed();
      await put();
      await noticed;
    }
    await user.putSession(session('s1'));
    const before = user.changes.current;
    await user.useToken('t1', 4, '10.1.1.1');
    await user.useToken('t1', 5, '10.1.1.2');
    await user.warnedOfToken('t1', 6);
    await user.useLogin('l1', 7);
    await user.useSession('s1', 8);
    await user[Symbol.asyncDispose]();
    assert.deepEqual(await state.token('t1'), {
      ...token('t1'),
      ...{ lastUsedAt: 5, lastUsedFrom: '10.1.1.2', warnedAt: 6 },
    });
    assert.equal((await state.login('l1'))?.lastUsedAt, 7);
    assert.equal((await state.session('s1'))?.usedAt, 8);
    assert.equal(user.changes.current, before);
    await state.useToken('t1', 8, '10.1.1.3');
    await waitFor(async () => (await state.token('t1'))?.lastUsedAt === 8);
  });

  check('each change is noticed, by whomever it was made', async (state, opened) => {
    await using again = await opened.openAgain();
    const changes: (() => Promise<unknown>)[] = [
      () => again.putToken(token('t1')),
      () => again.removeToken('t1'),
      () => again.putLogin(login('l1')),
      () => again.removeLogin('l1'),
      () => again.putCertificate(certificate('ef')),
      () => again.revokeCertificate('ef', 7),
      () => again.putPerson(person('ana')),
      () => again.updatePerson('ana', { ...person('ana'), groups: [] }),
      () => again.removePerson('ana'),
    ];
    for (const change of changes) {
      const noticed = [state.changes.changed(), again.changes.changed()];
      await change();
      await Promise.all(noticed);
    }
  });

  check('of two who remove or revoke at once, one has done it', async (state, opened) => {
    await using again = await opened.openAgain();
    for (let turn = 0; turn < 10; turn++) {
      const id = `id-${turn}`;
      await Promise.all([state.putToken(token(id)), again.putLogin(login(id))]);
      await state.putCertificate(certificate(id));
      const removed = [state, again].map((one) => [one.removeToken(id), one.removeLogin(id)]);
      for (const kind of [0, 1]) {
        const done = await Promise.all(removed.map((one) => one[kind]));
        assert.deepEqual(done.toSorted(), [false, true]);
      }
      const revoked = await Promise.all([state.revokeCertificate(id, 1), again.revokeCertificate(id, 2)]);
      assert.deepEqual(revoked.toSorted(), [false, true]);
      const { revokedAt } =
        (await state.certificates()).find((one) => one.fingerprint === id) ?? assert.fail();
      assert.equal(revokedAt, revoked[0] ? 1 : 2);
    }
  });

  check('an owner has at most so many tokens, however many are put at once', async (state, opened) => {
    await using again = await opened.openAgain();
    const of = (id: string, owner: string, ownerId: string | null) => ({ ...token(id), owner, ownerId });
    // A person may have had other names, and no other entry with the same name counts.
    for (const other of [of('o1', 'ana', null), of('o2', 'ana', 'u1'), of('o3', 'bo', 'u2')])
      assert.equal(await state.putToken(other), true);
    for (const [ownerId, names] of [
      ['corp/id-1', ['ana', 'anna']],
      ['u2', ['ana', 'ana']],
      [null, ['cy', 'cy']],
    ] as const) {
      const puts = Array.from({ length: 20 }, (_, index) => {
        const [one, name = ''] = index % 2 === 0 ? [state, names[0]] : [again, names[1]];
        return one.putToken(of(`${ownerId}-${index}`, name, ownerId), 3);
      });
      const done = (await Promise.all(puts)).filter(Boolean);
      assert.deepEqual([ownerId, done.length], [ownerId, 3]);
    }
    assert.equal((await state.tokens()).length, 12);
    assert.equal(await state.putToken(of('another', 'cy', null), 4), true);
  });

  check('of two who put the same id at once, one has it', async (state, opened) => {
    await using again = await opened.openAgain();
    for (let turn = 0; turn < 10; turn++) {
      const id = `id-${turn}`;
      const puts = await Promise.allSettled(
        [state, again].map((one, index) => one.putToken({ ...token(id), owner: `owner-${index}` })),
      );
      const winner = puts.findIndex(({ status }) => status === 'fulfilled');
      assert.deepEqual(puts.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected']);
      assert.equal((await state.token(id))?.owner, `owner-${winner}`);
    }
  });

  check('a use does not bring back what is removed at the same time', async (state, opened) => {
    await state.putToken(token('t1'));
    await state.putLogin(login('l1'));
    await state.putSession(session('s1'));
    const again = await opened.openAgain();
    await Promise.all([
      again.useToken('t1', 5, '10.1.1.1'),
      again.useLogin('l1', 5),
      again.useSession('s1', 5),
      state.removeToken('t1'),
      state.removeLogin('l1'),
      state.removeSession('s1'),
    ]);
    await again[Symbol.asyncDispose]();
    assert.deepEqual([await state.tokens(), await state.logins(), await state.sessions()], [[], [], []]);
  });

  check('changes that several processes make at once do not lose each other', async (state, opened) => {
    const owners = ['a', 'b', 'c'];
    const codes = await Promise.all(owners.map((owner) => opened.putTokensApart(owner, 40)));
    assert.deepEqual(codes, [0, 0, 0]);
    assert.equal((await state.tokens()).length, 120);
  });
}
