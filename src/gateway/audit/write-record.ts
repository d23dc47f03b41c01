import type { AuditLine } from '../../protocol/audit-line.ts';
import type { ErrorName } from '../../registry/error.ts';
import type { AccessDecision } from '../authorization/authorize.ts';
import type { WriteTarget } from '../routes/push-request.ts';
import { callerLine, type ReceivedRequest, whyOf } from './audit-record.ts';

/** A request that writes to a hosted repository. */
export interface ReceivedWrite extends ReceivedRequest {
  readonly target: WriteTarget;
}

/** The outcome of a write, for its audit line. */
export interface WriteResult
  extends Pick<AuditLine, 'status' | 'digest' | 'upload' | 'previous' | 'push' | 'size'> {
  /** The name of the core's refusal. */
  readonly error?: ErrorName;
}

/**
 * Returns the line of a write; undefined for a chunk that was taken and for the state of an upload, because
 * an upload has a line at its beginning and one at its end.
 */
export function writtenLine(
  write: ReceivedWrite,
  decision: AccessDecision,
  { status, digest, upload, previous, push, size: published }: WriteResult,
): AuditLine | undefined {
  const { target, request } = write;
  const { route, method, action } = target;
  if (route.kind === 'upload' && (method === 'PATCH' || method === 'GET') && status < 400) return undefined;
  const isMount = route.kind === 'uploads' && route.mount !== undefined && status === 201;
  const size = published ?? Number(request.headers['content-length'] ?? 0);
  return {
    action: isMount ? 'mount' : action,
    ...(push !== undefined && { push }),
    ...callerLine(write),
    repository: route.repository.name,
    ...writtenReference(target),
    ...uploadOf(target, upload),
    ...(digest !== undefined && { digest }),
    ...(size > 0 && { size }),
    ...(isMount && route.from !== undefined && { from: route.from.name }),
    ...(previous !== undefined && { previous }),
    ...whyOf(decision),
    decision: decision.kind === 'granted' ? 'allow' : 'deny',
    status,
  };
}

/** The id of an upload is in its target, except that of a new one, which is in the answer. */
function uploadOf({ route }: WriteTarget, begun: string | undefined): Pick<AuditLine, 'upload'> {
  const upload = route.kind === 'upload' ? route.id : begun;
  return upload === undefined ? {} : { upload };
}

function writtenReference({ route }: WriteTarget): Pick<AuditLine, 'tag' | 'digest'> {
  if (route.kind === 'manifest')
    return route.reference.kind === 'tag' ? { tag: route.reference.tag } : { digest: route.reference.digest };
  const digest = route.kind === 'uploads' ? (route.digest ?? route.mount) : route.digest;
  return digest === undefined ? {} : { digest };
}
