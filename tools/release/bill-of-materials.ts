/**
 * What an artifact consists of, in CycloneDX's form. npm says which packages the lock file names; the
 * artifact adds what else it carries.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { sha256 } from './archive.ts';
import type { Release } from './release-facts.ts';

const COMPONENT = z.looseObject({
  'bom-ref': z.string(),
  type: z.string(),
  name: z.string(),
  version: z.string(),
  purl: z.string().optional(),
  licenses: z
    .array(z.looseObject({ license: z.looseObject({ id: z.string().optional() }).optional() }))
    .optional(),
});
export type Component = z.infer<typeof COMPONENT>;

const BILL = z.looseObject({
  metadata: z.looseObject({ component: COMPONENT }),
  components: z.array(COMPONENT),
  dependencies: z.array(z.object({ ref: z.string(), dependsOn: z.array(z.string()) })),
});
export type Bill = z.infer<typeof BILL>;

const LOCK = z.object({
  packages: z.record(z.string(), z.object({ version: z.string().optional(), dev: z.boolean().optional() })),
});

/**
 * The bill of the npm package. It has every package of the lock file that is not only for development. npm's
 * own `--omit=dev` also leaves out what the program and a tool of development have in common.
 */
export function billOfPackage({ root, version, time }: Release): Bill {
  const args = ['sbom', '--package-lock-only', '--sbom-format=cyclonedx', '--sbom-type=application'];
  const json = execFileSync('npm', args, { cwd: root, encoding: 'utf8', maxBuffer: 2 ** 26 });
  const bill = BILL.parse(JSON.parse(json));
  const kept = packagesOf(LOCK.parse(JSON.parse(readFileSync(path.join(root, 'package-lock.json'), 'utf8'))));
  const whole = {
    ...bill,
    components: bill.components.filter((one) => kept.has(one['bom-ref'])),
    dependencies: bill.dependencies
      .filter(({ ref }) => kept.has(ref))
      .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((one) => kept.has(one)) })),
  };
  // npm takes the name from the directory of the checkout.
  return described(whole, { type: 'application', purl: `pkg:npm/hubgate@${version}` }, time);
}

/** The names with versions of the packages that are not only for development, and of Hubgate itself. */
function packagesOf({ packages }: z.infer<typeof LOCK>): Set<string> {
  return new Set(
    Object.entries(packages)
      .filter(([, { dev = false }]) => !dev)
      .map(([at, { version }]) => `${at === '' ? 'hubgate' : at.replace(/.*node_modules\//, '')}@${version}`),
  );
}

/** The bill of an artifact that consists of what another bill names and of `added`. */
export function billWith(
  bill: Bill,
  described_: { readonly type: string; readonly purl: string },
  added: readonly Component[],
  { time }: Release,
): Bill {
  const whole = {
    ...bill,
    components: [...bill.components, ...added],
    dependencies: [
      ...bill.dependencies.map(({ ref, dependsOn }) =>
        ref === bill.metadata.component['bom-ref']
          ? { ref, dependsOn: [...dependsOn, ...added.map((one) => one['bom-ref'])] }
          : { ref, dependsOn },
      ),
      ...added.map((one) => ({ ref: one['bom-ref'], dependsOn: [] })),
    ],
  };
  return described(whole, described_, time);
}

/** The bill of something that has no part of the program in it. */
export function billWithoutPrograms(bill: Bill): Bill {
  return {
    ...bill,
    components: [],
    dependencies: [{ ref: bill.metadata.component['bom-ref'], dependsOn: [] }],
  };
}

export function printedBill(bill: Bill): Buffer {
  return Buffer.from(`${JSON.stringify(bill, undefined, 2)}\n`);
}

function described(bill: Bill, about: { readonly type: string; readonly purl: string }, time: Date): Bill {
  const component = { ...bill.metadata.component, name: 'hubgate', ...about };
  const whole = { ...bill, metadata: { ...bill.metadata, timestamp: time.toISOString(), component } };
  return { ...whole, serialNumber: `urn:uuid:${uuidOf(JSON.stringify({ ...whole, serialNumber: '' }))}` };
}

/** An id that follows from the content: a UUID of version 8. */
function uuidOf(text: string): string {
  const hex = sha256(Buffer.from(text));
  const parts = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ];
  return parts.join('-');
}
