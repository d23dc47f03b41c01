import { X509Certificate } from 'node:crypto';
import type { Parsed } from './fault.ts';
import { reasonOf } from './reason.ts';
import { readRegularFile } from './regular-file.ts';

const BLOCK = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/**
 * Returns the certificates of authorities in a PEM file, which may contain several. Text between them is
 * ignored.
 */
export async function readAuthorities(file: string): Promise<Parsed<readonly X509Certificate[]>> {
  try {
    const blocks = (await readRegularFile(file)).toString('latin1').match(BLOCK) ?? [];
    const authorities = blocks.map((block) => new X509Certificate(block)).filter(({ ca }) => ca);
    if (authorities.length > 0) return { value: authorities };
    return { faults: [{ source: file, message: 'holds no certificate of an authority' }] };
  } catch (error) {
    return { faults: [{ source: file, message: `cannot be read: ${reasonOf(error)}` }] };
  }
}
