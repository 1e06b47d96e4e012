// Where does a node or a Sentinel listen? The one identity that Sentinel, INFO and we share.

/** Host as announced (an IP address or a name) and port. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** An address with the name that people use for it. */
export interface Endpoint extends Address {
  readonly name: string;
}

/** The address when both parts are usable, otherwise null: empty hosts, `?` and port 0 mean "not known" on the wire. */
export const address = (host: unknown, port: number | null): Address | null =>
  typeof host === 'string' && host !== '' && host !== '?' && port !== null && port > 0 && port < 65_536
    ? { host, port }
    : null;

/** `host:port`, for maps and for people. */
export const addressKey = ({ host, port }: Address): string => `${host}:${String(port)}`;

/** Whether both are known and the same. */
export const sameAddress = (a: Address | null, b: Address | null): boolean =>
  a !== null && b !== null && a.host === b.host && a.port === b.port;
