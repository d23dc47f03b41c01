import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { mustRun } from './process.ts';

/**
 * Prometheus' programs from Debian's package. It is unpacked and not installed, because an installed one
 * starts as a service.
 */
export class PrometheusPackage implements AsyncDisposable {
  readonly directory: string;

  static async fetch(): Promise<PrometheusPackage> {
    const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-prometheus-'));
    await mustRun('apt-get', ['update', '--quiet']);
    await mustRun('sh', ['-c', `cd ${directory} && apt-get download --quiet prometheus`]);
    const file = (await readdir(directory)).find((name) => name.endsWith('.deb')) ?? '';
    await mustRun('dpkg-deb', ['--extract', path.join(directory, file), directory]);
    return new PrometheusPackage(directory);
  }

  private constructor(directory: string) {
    this.directory = directory;
  }

  program(name: 'prometheus' | 'promtool'): string {
    return path.join(this.directory, 'usr/bin', name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.directory, { recursive: true });
  }
}
