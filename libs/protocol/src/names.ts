// What may things be called? Names travel through URLs, DNS, Redis keys, logs and metrics, so they are plain.
import { z } from 'zod';

/** A service: a DNS label (RFC 1123), so that it can be served by DNS and used as a host name. */
export const serviceNameSchema = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, 'must be 1 to 63 of a-z, 0-9 and "-", not at either end');

/** An instance id: unique for all time within its service; never an address (an address is used again). */
export const instanceIdSchema = z
  .string()
  .regex(
    /^[A-Za-z0-9](?:[A-Za-z0-9._:-]{0,126}[A-Za-z0-9])?$/,
    'must be 1 to 128 of A-Z, a-z, 0-9, ".", "_", ":" and "-", beginning and ending with a letter or digit',
  );

/** Routes, Redis groups and Redis nodes. */
export const plainNameSchema = z
  .string()
  .regex(
    /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$/,
    'must be 1 to 64 of A-Z, a-z, 0-9, ".", "_" and "-", beginning and ending with a letter or digit',
  );

const hostPattern = /^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*)$/;

/** Where something listens: what can stand in a URL. Brackets around an IPv6 address are not part of the host. */
export const hostSchema = z
  .string()
  .max(253)
  .refine(
    // The pattern alone lets 999.0.0.1 and a:80 through.
    (host) => hostPattern.test(host) && URL.canParse(`http://${host.includes(':') ? `[${host}]` : host}/`),
    { error: 'must be a host name or an IP address' },
  );

export const portSchema = z.int().min(1, 'must be from 1 to 65535').max(65535, 'must be from 1 to 65535');

/** The member of the deadline set: `service/id`. A service name has no slash, so it splits at the first one. */
export const memberOf = (service: string, id: string): string => `${service}/${id}`;

/** Service and id of a member, or `undefined` when it is none. */
export function splitMember(member: string): { readonly service: string; readonly id: string } | undefined {
  const at = member.indexOf('/');
  return at > 0 ? { service: member.slice(0, at), id: member.slice(at + 1) } : undefined;
}
