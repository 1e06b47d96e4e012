// How much room has a node's disk, and how does its machine treat memory? Only where that can be seen: the node runs on the manager's
// own machine and its directory may be read. Else nobody knows, and nothing is said.
import { readFile, statfs } from 'node:fs/promises';
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { NodeMachine } from '@switchyard/replication';

const hugePagesFile = '/sys/kernel/mm/transparent_hugepage/enabled';
const overcommitFile = '/proc/sys/vm/overcommit_memory';

/** Facts of the machine on which the node with this address keeps `dir`; null when it is not this one. Never rejects. */
export const readMachine = async (host: string, dir: string | undefined): Promise<NodeMachine | null> => {
  if (dir === undefined || !isHere(host)) return null;
  // In containers of one network namespace the address may be ours and the directory not: then all of it is another machine's.
  const disk = await statfs(dir).catch(() => null);
  if (disk === null) return null;
  const [hugePages, overcommit] = await Promise.all([text(hugePagesFile), text(overcommitFile)]);
  return {
    diskFreeBytes: disk.bavail * disk.bsize,
    diskTotalBytes: disk.blocks * disk.bsize,
    hugePages: /\[(\w+)\]/.exec(hugePages ?? '')?.[1] ?? null,
    overcommit: overcommit === null ? null : Number.parseInt(overcommit, 10),
  };
};

const isHere = (host: string): boolean => {
  if (host === 'localhost' || host.startsWith('127.') || host === '::1') return true;
  if (isIP(host) === 0) return false;
  return Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === host) ?? false);
};

const text = (file: string): Promise<string | null> => readFile(file, 'utf8').catch(() => null);
