import type { HelperLogin } from './run-helper.ts';

/** The current credential of one upstream. */
export interface LiveCredential extends Disposable {
  /** Rejects as long as its file has never been valid, or while its helper gives no login. */
  login(): Promise<HelperLogin>;
  /** Reads the file or asks the helper now. */
  look(): Promise<void>;
}
