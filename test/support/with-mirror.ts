import type { SuiteContext } from 'node:test';
import { FakeHub } from './fake-hub.ts';
import type { TestImage } from './image.ts';
import { ACCOUNT } from './test-core.ts';
import { TestHubgate, type TestHubgateOptions } from './test-hubgate.ts';

interface MirrorOptions extends Omit<TestHubgateOptions, 'configuration'> {
  /** The public images of the Hub, by `repository` or `repository:tag`. */
  readonly images?: Images;
  /** The images of private repositories, which the mirror's account can read. */
  readonly privateImages?: Images;
  /** Sections of hubgate.yaml. They may depend on the Hub. */
  readonly configuration?:
    | TestHubgateOptions['configuration']
    | ((hub: FakeHub) => TestHubgateOptions['configuration']);
  /** The Hub of another mirror. By default the mirror gets one of its own. */
  readonly hub?: FakeHub;
}

type Images = Readonly<Record<string, TestImage>>;

/** It can be stopped before its test or file ends. */
export interface Mirror extends AsyncDisposable {
  readonly hub: FakeHub;
  readonly hubgate: TestHubgate;
}

/** A test, or all tests of a file if it is node:test's own `after`. */
interface Scope {
  after(stop: () => Promise<void>): void;
}

/** Starts a mirror and its Hub for one test or for a whole file, and stops both when it ends. */
export async function withMirror(scope: Scope | SuiteContext, options: MirrorOptions): Promise<Mirror> {
  if (!('after' in scope)) throw new Error('a mirror ends with a test or with a file, and not with a suite');
  const { images = {}, privateImages = {}, configuration, hub: given, ...others } = options;
  await using stack = new AsyncDisposableStack();
  const hub = given ?? stack.use(await FakeHub.start());
  const names = Object.keys(privateImages).map((name) => splitTag(name)[0]);
  if (given === undefined) hub.accounts.push({ ...ACCOUNT, repositories: names });
  for (const [name, image] of Object.entries(images)) hub.push(...splitTag(name), image);
  for (const [name, image] of Object.entries(privateImages))
    hub.push(...splitTag(name), image, { private: true });
  const sections = typeof configuration === 'function' ? configuration(hub) : configuration;
  const hubgate = await TestHubgate.start(hub, { ...others, ...(sections && { configuration: sections }) });
  stack.use(hubgate);
  const running = stack.move();
  const stop = () => running.disposeAsync();
  // Hooks run in the order of their registration, so whatever the scope registers later is stopped later.
  scope.after(stop);
  return { hub, hubgate, [Symbol.asyncDispose]: stop };
}

function splitTag(name: string): [repository: string, tag: string] {
  const [repository = '', tag = 'latest'] = name.split(':');
  return [repository, tag];
}
