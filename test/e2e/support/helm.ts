import path from 'node:path';
import { parseAllDocuments } from 'yaml';
import { mustRun, run } from './process.ts';

const CHART = path.join(import.meta.dirname, '../../../deploy/helm/hubgate');
/** What `go install` builds where there is no helm; Debian has none. */
const HELM = 'helm.sh/helm/v3/cmd/helm@v3.22.0';
/** A helm that was built so takes itself to be of an old one. */
const KUBERNETES = ['--kube-version', '1.33.0'];

/** A rendered object of Kubernetes'. */
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

/** The machine's helm, else one built by its Go into `directory`; a text says why there is none. */
export async function findHelm(directory: string): Promise<Helm | string> {
  const has = async (program: string) => (await run('sh', ['-c', `command -v ${program}`])).code === 0;
  if (await has('helm')) return helm('helm');
  if (!(await has('go'))) return 'there is no helm on this machine, and no go to build one';
  const { code, output } = await run('go', ['install', HELM], { env: { GOBIN: directory } });
  return code === 0 ? helm(path.join(directory, 'helm')) : `helm cannot be built here: ${output.slice(-500)}`;
}

function helm(program: string): Helm {
  const given = (values: object) => ({ stdin: JSON.stringify(values) });
  return {
    lint: (values = {}) =>
      mustRun(program, ['lint', '--strict', CHART, ...KUBERNETES, '--values', '-'], given(values)),
    template: async (values = {}) => {
      const flags = [...KUBERNETES, '--namespace', 'mirrors', '--values', '-'];
      const text = await mustRun(program, ['template', 'hubgate', CHART, ...flags], given(values));
      // As Kubernetes reads it: 0440 is octal.
      return parseAllDocuments(text, { version: '1.1' }).map((document) => document.toJS());
    },
  };
}
