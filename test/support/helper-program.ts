import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** A directory for `PATH` that contains a credential helper: `docker-credential-test`. */
export class HelperProgram implements AsyncDisposable {
  readonly directory: string;

  static async write(script: string): Promise<HelperProgram> {
    const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-helper-'));
    const program = new HelperProgram(directory);
    await program.rewrite(script);
    return program;
  }

  private constructor(directory: string) {
    this.directory = directory;
  }

  /** Replaces the script; `$DIRECTORY` is its own directory. Each run adds a line to the file `runs`. */
  async rewrite(script: string): Promise<void> {
    const file = path.join(this.directory, 'docker-credential-test');
    const lines = [
      '#!/bin/sh',
      `DIRECTORY='${this.directory}'`,
      'read -r SERVER',
      'echo "$1 $SERVER" >> $DIRECTORY/runs',
    ];
    await writeFile(file, [...lines, script, ''].join('\n'));
    await chmod(file, 0o755);
  }

  /** Makes it print this login. */
  gives(username: string, password: string): Promise<void> {
    return this.rewrite(`echo '${JSON.stringify({ ServerURL: 'x', Username: username, Secret: password })}'`);
  }

  get path(): string {
    return `${this.directory}:${process.env.PATH}`;
  }

  async read(name: string): Promise<string> {
    return readFile(path.join(this.directory, name), 'utf8').catch(() => '');
  }

  async runs(): Promise<string[]> {
    return (await this.read('runs')).trim().split('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.directory, { recursive: true });
  }
}
