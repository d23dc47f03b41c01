/** The keys of an account of the object store, which are read again when their files change. */
import { errorCode, messageOf } from '../../platform/reason.ts';
import { readRegularFile } from '../../platform/regular-file.ts';

export interface ObjectKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface KeyFiles {
  readonly accessKeyFile: string;
  readonly secretKeyFile: string;
}

/** The milliseconds for which keys are not read again. */
const READ_AGAIN_AFTER = 1_000;
/** The bytes of the largest key. */
const MAX_KEY = 4_096;

/** Returns a function that resolves to the keys, and rejects with a sentence if they cannot be read. */
export function readingKeys({ accessKeyFile, secretKeyFile }: KeyFiles): () => Promise<ObjectKeys> {
  let at = Number.NEGATIVE_INFINITY;
  let reading: Promise<ObjectKeys> | undefined;
  return () => {
    if (reading === undefined || performance.now() - at > READ_AGAIN_AFTER) {
      at = performance.now();
      reading = Promise.all([readKey(accessKeyFile), readKey(secretKeyFile)]).then(
        ([accessKeyId, secretAccessKey]) => ({ accessKeyId, secretAccessKey }),
      );
    }
    return reading;
  };
}

async function readKey(file: string): Promise<string> {
  const bytes = await readRegularFile(file, MAX_KEY).catch((error: Error) => {
    throw new Error(`${file} cannot be read: ${errorCode(error) ?? messageOf(error)}`, { cause: error });
  });
  const key = bytes.toString('utf8').trim();
  if (key === '') throw new Error(`${file} is empty`);
  return key;
}
