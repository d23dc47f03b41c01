import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { connect } from 'node:tls';
import { ensureServerCertificate } from '../../src/pki/local-ca.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';

test('a certificate that is replaced, file by file, serves the next connection', async (t) => {
  const { hubgate } = await withMirror(t, { policy: 'allow: []' });
  const options = { host: '127.0.0.1', port: hubgate.port, ca: hubgate.ca, servername: 'localhost' };
  const serial = async () => {
    const socket = connect(options);
    await once(socket, 'secureConnect');
    const { serialNumber } = socket.getPeerCertificate();
    socket.destroy();
    return serialNumber;
  };
  const before = await serial();
  const { ca, server } = hubgate.paths;
  const made = { certificate: `${server.certificate}.new`, key: `${server.key}.new` };
  await ensureServerCertificate({ ca, server: made, names: ['localhost'], clock: Date.now });

  await writeFile(server.certificate, await readFile(made.certificate));
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.equal(await serial(), before);
  await writeFile(server.key, await readFile(made.key));
  await waitFor(async () => (await serial()) !== before);
});

test('a key that is just being written, empty at first, costs no handshake', async (t) => {
  const { hubgate } = await withMirror(t, { policy: 'allow: []' });
  const { key } = hubgate.paths.server;
  const content = await readFile(key, 'utf8');
  const refusals = () => hubgate.log.filter(({ msg }) => msg.startsWith('certificate refused')).length;
  for (const torn of ['', content.slice(0, 100)]) {
    const before = refusals();
    await writeFile(key, torn);
    await waitFor(() => refusals() > before);
    assert.equal((await hubgate.send({ path: '/healthz', agent: false })).status, 200);
  }
});

test('a pair that is broken while the mirror runs is named, with what to do, as check does', async (t) => {
  const { hubgate } = await withMirror(t, { policy: 'allow: []' });
  const { server, ca } = hubgate.paths;
  const said = () =>
    hubgate.log
      .filter(({ msg }) => msg.startsWith('certificate refused'))
      .map(({ reason }) => String(reason));
  const broken = [
    [
      server.key,
      'nothing',
      /server\.key: holds no private key in PEM; put the whole file there, as it was made$/,
    ],
    [
      server.certificate,
      'nothing',
      /server\.crt: holds no certificate in PEM; put the whole file there, as it was made$/,
    ],
    [
      server.key,
      await readFile(ca.key, 'utf8'),
      /server\.key: is not the key of .*server\.crt; put the key there /,
    ],
  ] as const;
  for (const [file, text, words] of broken) {
    const good = await readFile(file);
    await writeFile(file, text);
    await waitFor(() => said().some((error) => words.test(error)));
    await writeFile(file, good);
  }
  assert.equal((await hubgate.send({ path: '/healthz', agent: false })).status, 200);
});
