import {
  auditLine,
  type ClientKit,
  HUB_HOSTS,
  type KeyPairFiles,
  type KitRequest,
  mirrorAddress,
} from './kit.ts';
import { ownNameLine } from './registries-yaml.ts';

const FILE = 'hubgate-talos.yaml';

/**
 * Makes a patch of the machine's configuration. Every release reads `machine.registries`; Talos 1.12 added
 * documents of their own (RegistryMirrorConfig, RegistryTLSConfig), which earlier releases refuse. The schema
 * is in siderolabs/talos, pkg/machinery/config/schemas/config.schema.json.
 */
export function talosKit(asked: KitRequest): ClientKit {
  const { mirror, name, strict } = asked;
  return {
    credential: 'certificate',
    subject: `cert:${name}`,
    files: [{ path: FILE, mode: 0o600, content: { withPair: (pair) => patchOf(asked, pair) } }],
    notes: {
      merge: ['The patch adds to machine.registries; entries of the same names are replaced.'],
      reload: [
        `talosctl --nodes NODE patch machineconfig --patch @${FILE}   for each node; it takes no reboot`,
        `talosctl gen config … --config-patch @${FILE}   for a new cluster`,
      ],
      check: ['talosctl --nodes NODE image pull docker.io/library/alpine:latest', auditLine(`cert:${name}`)],
      notReached: [
        ownNameLine(mirror),
        'A Talos that boots for the first time, before it has its configuration.',
      ],
      fallback: strict
        ? ['The mirror alone is asked: if it refuses or fails, the pull fails.']
        : [
            'When the mirror refuses or fails, Talos asks the registry itself. --strict closes that;',
            `else block ${HUB_HOSTS} for this machine.`,
          ],
    },
  };
}

/** Makes the text of the patch, in which certificates and keys are base64 of their PEM. */
function patchOf({ mirror, strict }: KitRequest, { certificate, key }: KeyPairFiles): string {
  const address = mirrorAddress(mirror);
  const caLine = mirror.ca === undefined ? [] : [`          ca: ${base64(mirror.ca)}`];
  return [
    'machine:',
    '  registries:',
    '    mirrors:',
    ...mirror.upstreams.flatMap((upstream) => [
      `      "${upstream}":`,
      `        endpoints: ["https://${address}"]`,
      ...(strict ? ['        skipFallback: true'] : []),
    ]),
    '    config:',
    `      "${address}":`,
    '        tls:',
    '          clientIdentity:',
    `            crt: ${base64(certificate)}`,
    `            key: ${base64(key)}`,
    ...caLine,
    ...(address === mirror.host || mirror.ca === undefined
      ? []
      : [`      "${mirror.host}":`, '        tls:', ...caLine]),
    '',
  ].join('\n');
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
