import { caFile } from './certificate-files.ts';
import {
  accountCredential,
  accountSubject,
  auditLine,
  type ClientKit,
  HUB_HOSTS,
  type KitAccount,
  type KitRefusal,
  type KitRequest,
} from './kit.ts';

const TOKEN_FILE = 'hubgate-token';
const CA_DIRECTORY = '/etc/regctl';

/**
 * Makes the kit for regctl. It keeps its own settings, knows mirrors, and presents to a mirror the login for
 * that mirror.
 */
export function regctlKit({ mirror, name, strict }: KitRequest, account: KitAccount): ClientKit | KitRefusal {
  if (!mirror.upstreams.includes('docker.io'))
    return { refusal: 'this kit is for a mirror of docker.io, which is not among the upstreams here' };
  const { host } = mirror;
  const subject = accountSubject(name, account);
  const withToken = (token: string) => `${token}\n`;
  const isService = account === 'service';
  return {
    credential: accountCredential(account),
    subject,
    files: [
      ...(isService ? [{ path: TOKEN_FILE, mode: 0o600, content: { withToken } } as const] : []),
      ...caFile(mirror, CA_DIRECTORY),
    ],
    notes: {
      merge: [
        'Each user of regctl once; it writes ~/.regctl/config.json:',
        ...(mirror.ca === undefined
          ? []
          : [`  regctl registry set ${host} --cacert "$(cat ${CA_DIRECTORY}/ca.crt)"`]),
        `  regctl registry login ${host} -u ${name} ${isService ? `--pass-stdin < ${TOKEN_FILE}` : ''}`.trimEnd(),
        `  regctl registry set docker.io --mirror ${host} --skip-check`,
        'If the login fails, repeat it: regctl stores a password before it checks it, so it keeps a wrong one.',
      ],
      reload: ['nothing'],
      check: ['regctl image digest alpine   prints sha256:…', auditLine(subject)],
      notReached: [
        `Other registries than docker.io: name them after the mirror, as in ${host}/ghcr.io/acme/tool.`,
        'regctl tag ls and regctl repo ls of docker.io without the mirror’s name may ask Docker Hub itself.',
      ],
      fallback: [
        `When the mirror refuses or fails, regctl asks Docker Hub, and has no setting against it${strict ? ', --strict or not' : ''}:`,
        `block ${HUB_HOSTS} for this machine.`,
      ],
    },
  };
}
