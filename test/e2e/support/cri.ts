import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import path from 'node:path';
import { startProcess } from './process.ts';

const CRI = 'plugins."io.containerd.grpc.v1.cri"';

/**
 * A containerd that pulls images as it does for kubelet: by its CRI plugin, which alone reads the registries
 * in config.toml.
 */
export interface Cri extends AsyncDisposable {
  /** Pulls an image, and returns why it could not; undefined if it could. */
  pull(image: string, login?: CriLogin): Promise<string | undefined>;
}

/** The login that kubelet gives for a pull: an `AuthConfig` of the CRI. */
export interface CriLogin {
  readonly username: string;
  readonly password: string;
}

/** Starts containerd with `text` in its config.toml, which says nothing about directories and sockets. */
export async function startCri(
  directory: string,
  text: string,
  env: Readonly<Record<string, string>>,
): Promise<Cri> {
  const at = (name: string) => path.join(directory, name);
  await mkdir(directory, { recursive: true });
  const before = [`root = "${at('root')}"`, `state = "${at('state')}"`];
  const after = [
    ...['[grpc]', `address = "${at('containerd.sock')}"`],
    ...['[plugins."io.containerd.internal.v1.opt"]', `path = "${at('opt')}"`],
    ...[`[${CRI}.containerd]`, 'snapshotter = "native"'],
    ...[`[${CRI}.cni]`, `conf_dir = "${at('cni')}"`],
  ];
  await writeFile(at('config.toml'), [...before, text, ...after, ''].join('\n'));
  const daemon = await startProcess('containerd', ['--config', at('config.toml')], {
    env,
    ready: (output) => output.includes('containerd successfully booted'),
  });
  return {
    pull: (image, login) => pullImage(at('containerd.sock'), image, login),
    [Symbol.asyncDispose]: () => daemon.stop(),
  };
}

/**
 * Makes one call of gRPC, https://github.com/kubernetes/cri-api/blob/master/pkg/apis/runtime/v1/api.proto.
 */
async function pullImage(socket: string, image: string, login?: CriLogin): Promise<string | undefined> {
  // PullImageRequest.image is an ImageSpec, and ImageSpec.image is the name; both are fields of number 1.
  const message = Buffer.concat([
    field(1, field(1, Buffer.from(image))),
    ...(login === undefined
      ? []
      : [
          field(
            2,
            Buffer.concat([field(1, Buffer.from(login.username)), field(2, Buffer.from(login.password))]),
          ),
        ]),
  ]);
  const length = Buffer.alloc(5);
  length.writeUInt32BE(message.length, 1);
  const session = connectHttp2('http://localhost', { createConnection: () => connect(socket) });
  try {
    const stream = session.request({
      ':method': 'POST',
      ':path': '/runtime.v1.ImageService/PullImage',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    let status: Record<string, unknown> = {};
    for (const event of ['response', 'trailers'])
      stream.on(event, (headers) => {
        status = { ...status, ...headers };
      });
    stream.end(Buffer.concat([length, message]));
    await once(stream.resume(), 'close');
    return status['grpc-status'] === '0' ? undefined : String(status['grpc-message']);
  } finally {
    session.close();
  }
}

/**
 * Encodes a field of a protobuf message: its number and type, the length in groups of 7 bits, and the bytes.
 */
function field(number: number, bytes: Buffer): Buffer {
  const length: number[] = [];
  for (let rest = bytes.length; ; rest >>= 7) {
    if (rest < 128) {
      length.push(rest);
      break;
    }
    length.push((rest & 127) | 128);
  }
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...length]), bytes]);
}
