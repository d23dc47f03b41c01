import type { Action } from '../../registry/action.ts';
import type { Tag } from '../../registry/reference.ts';
import { isHosted } from '../../registry/repository.ts';
import { type RepositoryRoute, type Route, resourceOf, type UploadRoute } from '../../registry/route.ts';

/** The target of a request that writes to a hosted repository, and the action that it needs. */
export interface WriteTarget {
  readonly route: UploadRoute | (RepositoryRoute & { readonly kind: 'manifest' | 'blob' });
  readonly method: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';
  readonly action: Exclude<Action, 'pull'>;
}

/** The methods of each kind of target that write, or that only somebody who writes has a use for. */
const METHODS = {
  uploads: { POST: 'push' },
  upload: { GET: 'push', PATCH: 'push', PUT: 'push', DELETE: 'push' },
  manifest: { PUT: 'push', DELETE: 'delete' },
  blob: { DELETE: 'delete' },
} as const satisfies Record<WriteTarget['route']['kind'], Partial<Record<WriteTarget['method'], Action>>>;

/** Returns undefined if the method does not write there. */
export function writeTarget(route: Route, method: string | undefined): WriteTarget | undefined {
  if (!('repository' in route) || !isHosted(route.repository)) return undefined;
  if (route.kind === 'tags' || route.kind === 'referrers') return undefined;
  const methods: Partial<Record<string, WriteTarget['action']>> = METHODS[route.kind];
  const action = Object.hasOwn(methods, method ?? '') ? methods[method ?? ''] : undefined;
  return action && { route, method: method as WriteTarget['method'], action };
}

/** Returns the methods that a target of a hosted repository has, for `Allow`. */
export function methodsOf({ kind }: Route): string {
  const reads = kind === 'uploads' || kind === 'upload' ? [] : ['GET', 'HEAD'];
  const methods: Partial<Record<Route['kind'], object>> = METHODS;
  const writes = Object.keys(methods[kind] ?? {});
  return [...reads, ...writes].join(', ');
}

/** Returns the tags that the request writes or deletes. The policy decides about each of them. */
export function writtenTags({ route }: WriteTarget): readonly Tag[] {
  if (route.kind !== 'manifest') return [];
  const { reference, tags = [] } = route;
  return reference.kind === 'tag' ? [reference.tag, ...tags] : tags;
}

/** Returns the resource below the repository, with the query that the core reads. */
export function writtenResource({ route }: WriteTarget): string {
  const query = new URLSearchParams(queryOf(route)).toString();
  return query === '' ? pathOf(route) : `${pathOf(route)}?${query}`;
}

function pathOf(route: WriteTarget['route']): string {
  if (route.kind === 'uploads') return 'blobs/uploads/';
  return route.kind === 'upload' ? `blobs/uploads/${route.id}` : resourceOf(route);
}

function queryOf(route: WriteTarget['route']): [name: string, value: string][] {
  switch (route.kind) {
    case 'manifest':
      return (route.tags ?? []).map((tag) => ['tag', tag]);
    case 'blob':
      return [];
    case 'upload':
      return named({ digest: route.digest });
    case 'uploads':
      return named({ digest: route.digest, mount: route.mount, 'digest-algorithm': route.algorithm });
  }
}

function named(values: Readonly<Record<string, string | undefined>>): [name: string, value: string][] {
  return Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]));
}
