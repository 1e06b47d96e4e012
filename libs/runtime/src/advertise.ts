// Under which host do others reach this process? The rule for SWITCHYARD_HOST and SWITCHYARD_ADVERTISE_HOST.
import { networkInterfaces } from 'node:os';

const wildcardHosts: ReadonlySet<string> = new Set(['0.0.0.0', '::', '[::]', '*', '']);

/** The part of os.networkInterfaces() that matters here. */
export type Interfaces = Readonly<
  Record<
    string,
    readonly { readonly family: string; readonly internal: boolean; readonly address: string }[] | undefined
  >
>;

/**
 * The host to put into registrations: the advertised one when set; else the bind host; when bound to every address, the first
 * IPv4 address that is not internal; 127.0.0.1 when the machine has none.
 */
export const advertisedHost = (options: {
  readonly bindHost: string;
  readonly advertiseHost?: string | undefined;
  readonly interfaces?: Interfaces;
}): string => {
  if (options.advertiseHost !== undefined && options.advertiseHost !== '') return options.advertiseHost;
  if (!wildcardHosts.has(options.bindHost)) return options.bindHost;
  const addresses = Object.values(options.interfaces ?? networkInterfaces()).flatMap((list) => list ?? []);
  return addresses.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '127.0.0.1';
};

/** `http://host:port` for the advertised host; an IPv6 address gets its brackets. */
export const advertisedUrl = (options: {
  readonly bindHost: string;
  readonly advertiseHost?: string | undefined;
  readonly port: number;
  readonly interfaces?: Interfaces;
}): string => {
  const host = advertisedHost(options);
  return `http://${host.includes(':') && !host.startsWith('[') ? `[${host}]` : host}:${String(options.port)}`;
};
