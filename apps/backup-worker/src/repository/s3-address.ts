// Which S3-compatible store does an address name? s3://bucket/prefix?endpoint=https://...&region=...
import { isObjectName } from './object-name.ts';

/** A place in a store. */
export interface S3Address {
  readonly bucket: string;
  /** Before the names of all objects; empty or ending in `/`. */
  readonly prefix: string;
  /** `http(s)://host[:port]`, without a path. */
  readonly endpoint: string;
  readonly region: string;
}

/** Who asks. */
export interface S3Credentials {
  readonly accessKey: string;
  readonly secretKey: string;
}

const regionOfOthers = 'us-east-1';

/** The address in the text. Throws an Error that says what is wrong with it, without repeating credentials. */
export function parseS3Address(text: string): S3Address {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 's3:') throw new Error('is no s3://bucket/prefix?endpoint=...&region=... address');
  if (url.username !== '' || url.password !== '')
    throw new Error('holds credentials; set SWITCHYARD_BACKUP_S3_ACCESS_KEY and _SECRET_KEY instead');
  for (const name of url.searchParams.keys())
    if (name !== 'endpoint' && name !== 'region') throw new Error(`has an unknown parameter ${JSON.stringify(name)}`);
  const bucket = url.hostname;
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket)) throw new Error('names no bucket of 3 to 63 characters');
  const path = url.pathname.replace(/^\//, '').replace(/\/$/, '');
  if (path !== '' && !isObjectName(path)) throw new Error('has a prefix that is no name of an object');
  const region = url.searchParams.get('region') ?? regionOfOthers;
  if (!/^[A-Za-z0-9-]{1,64}$/.test(region)) throw new Error('has a region that is none');
  const given = url.searchParams.get('endpoint') ?? `https://s3.${region}.amazonaws.com`;
  const endpoint = URL.canParse(given) ? new URL(given) : undefined;
  if (endpoint === undefined || !/^https?:$/.test(endpoint.protocol) || !/^\/?$/.test(endpoint.pathname))
    throw new Error('has an endpoint that is not http(s)://host[:port]');
  return { bucket, prefix: path === '' ? '' : `${path}/`, endpoint: endpoint.origin, region };
}
