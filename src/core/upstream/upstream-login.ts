/** A login, as it is presented to a registry or its token service. */
export interface UpstreamLogin {
  readonly username: string;
  readonly password: string;
}

/** The current credential of one upstream. */
export interface LiveCredential extends Disposable {
  /** Rejects as long as its file has never been valid, or while its helper gives no login. */
  login(): Promise<UpstreamLogin>;
  /** Reads the file or asks the helper now. */
  look(): Promise<void>;
}
