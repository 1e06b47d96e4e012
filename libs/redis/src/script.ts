// How does a Lua script reach Redis? By its hash; sent in full only when that Redis does not know it yet.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';

export interface Script {
  /** Runs it. Rejects as any command does: no connection, deadline, an error inside the script. */
  run(redis: Redis, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown>;
}

const read = (name: string): string => readFileSync(new URL(`./scripts/${name}.lua`, import.meta.url), 'utf8');

/** Text and SHA-1 of `scripts/<name>.lua`; a line `--@include x` stands for `scripts/include/x.lua`. */
export function readScript(name: string): { readonly source: string; readonly hash: string } {
  const source = read(name).replace(/^--@include (\w+)$/gm, (_line, include: string) => read(`include/${include}`));
  return { source, hash: createHash('sha1').update(source).digest('hex') };
}

/** The script in `scripts/<name>.lua`, as `readScript` reads it. */
export function loadScript(name: string): Script {
  const { source, hash } = readScript(name);
  return {
    async run(redis, keys, args) {
      try {
        return await redis.evalsha(hash, keys.length, ...keys, ...args);
      } catch (error) {
        // Nothing ran: another Redis was promoted or it was restarted, and has no scripts.
        if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
        return redis.eval(source, keys.length, ...keys, ...args);
      }
    },
  };
}
