import type { IncomingMessage } from 'node:http';
import type { StreamedRequest } from '../../platform/ipc/streamed-request.ts';
import type { UploadId } from '../../registry/upload-id.ts';

/**
 * Sends a request for an upload to the node that began it. Resolves to undefined if no other node has the
 * upload.
 * @throws the reason of the signal of the request
 */
export type SendToOwner = (id: UploadId, request: StreamedRequest) => Promise<IncomingMessage | undefined>;
