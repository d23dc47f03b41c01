import path from 'node:path';
import { parseAllDocuments } from 'yaml';
import { binariesOf, buildProgram } from '../../clients/support/programs.ts';
import { mustRun, run } from './process.ts';

const CHART = path.join(import.meta.dirname, '../../../deploy/helm/hubgate');
/** The time limit of the build, because a test file has only five minutes. */
const BUILD_SECONDS = 240;
/** A helm that is built in this way takes itself for an old version. */
const KUBERNETES = ['--kube-version', '1.33.0'];

/** A rendered Kubernetes object. */
export interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec?: unknown;
  readonly data?: Readonly<Record<string, string>>;
}

export interface Helm {
  lint(values?: object): Promise<string>;
  template(values?: object): Promise<Manifest[]>;
}

/**
 * Returns the machine's helm, or else that of `npm run test:clients`, which is built if it is missing. A text
 * says why there is none.
 */
export async function findHelm(): Promise<Helm | string> {
  if ((await run('sh', ['-c', 'command -v helm'])).code === 0) return helm('helm');
  return (await buildProgram('helm', BUILD_SECONDS)) ?? helm(path.join(binariesOf('helm'), 'helm'));
}

function helm(program: string): Helm {
  const given = (values: object) => ({ stdin: JSON.stringify(values) });
  return {
    lint: (values = {}) =>
      mustRun(program, ['lint', '--strict', CHART, ...KUBERNETES, '--values', '-'], given(values)),
    template: async (values = {}) => {
      const flags = [...KUBERNETES, '--namespace', 'mirrors', '--values', '-'];
      const text = await mustRun(program, ['template', 'hubgate', CHART, ...flags], given(values));
      // The text is parsed as Kubernetes does it: 0440 is octal.
      return parseAllDocuments(text, { version: '1.1' }).map((document) => document.toJS());
    },
  };
}
