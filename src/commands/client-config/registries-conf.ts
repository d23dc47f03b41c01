import type { ClientFile, KitMirror } from './kit.ts';

/**
 * Returns a drop-in of containers-registries.conf(5). With `strict`, the mirror itself is the location, so
 * that the client asks nothing else.
 */
export function registriesDropIn({ host, upstreams }: KitMirror, strict: boolean): ClientFile {
  const blocks = upstreams.map((upstream) => {
    const location = (of: string) => `location = "${of}"`;
    const head = ['[[registry]]', `prefix = "${upstream}"`];
    return strict
      ? [...head, location(`${host}/${upstream}`), ''].join('\n')
      : [...head, location(upstream), '[[registry.mirror]]', location(`${host}/${upstream}`), ''].join('\n');
  });
  return {
    path: '/etc/containers/registries.conf.d/50-hubgate.conf',
    mode: 0o644,
    content: { text: blocks.join('\n') },
  };
}
