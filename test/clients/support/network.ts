/**
 * The addresses of the suite's own network. Two of them are the Hub's: the mirror's machine resolves the
 * Hub's names to one, and the clients' machines resolve them to the other, so that each request shows who
 * sent it. They are public addresses because Hubgate follows redirects to such only.
 */
export const ADDRESSES = {
  mirror: '10.99.0.3',
  /** A slow link to the mirror. */
  slow: '10.99.0.4',
  upstream: '52.1.0.8',
  direct: '52.1.0.9',
} as const;

export const MIRROR = 'mirror.corp';

/** The Hub's names, and those of a registry that is like ghcr.io. */
export const HUB_NAMES = [
  'registry-1.docker.io',
  'index.docker.io',
  'auth.docker.io',
  'production.cloudfront.docker.com',
  'ghcr.io',
  'pkg-containers.githubusercontent.com',
] as const;

/**
 * The command that runs the command after it in a new network, where there is nothing but these addresses. It
 * has its own process ids too, so that the kernel ends every daemon when the tests end, however they end.
 */
export const NEW_NETWORK: readonly string[] = [
  ...['unshare', '--net', '--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child'],
  ...['--mount-proc', 'sh', '-ec'],
  [
    'busybox ip link set lo up',
    ...Object.values(ADDRESSES).map((address) => `busybox ip addr add ${address}/32 dev lo`),
    'exec "$@"',
  ].join('\n'),
  'sh',
];

/** Returns the /etc/hosts of a machine for which the Hub is at `hub`. */
export function hostsFile(hub: string): string {
  return `127.0.0.1 localhost\n${ADDRESSES.mirror} ${MIRROR}\n${hub} ${HUB_NAMES.join(' ')}\n`;
}
