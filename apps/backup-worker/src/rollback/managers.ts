// How do replication-managers learn that the group is being changed? By the maintenance that people announce, too: they enforce, schedule
// and rebuild nothing meanwhile. Best effort: a rollback is safe without them, and they may be down together with Redis.
import { platformService } from '@switchyard/protocol';
import type { Redis } from '@switchyard/redis';
import { createCatalogStore } from '@switchyard/redis';
import { withDeadline, type Logger } from '@switchyard/runtime';

/** The managers of a group. */
export interface Managers {
  /** Why work has to wait; null when nothing is known. */
  busy(signal: AbortSignal): Promise<string | null>;
  /** Announces; `told` are those to be told of its end, `refused` what one of them says against it. */
  announce(
    reason: string,
    forMs: number,
  ): Promise<{ readonly told: readonly string[]; readonly refused: string | null }>;
  /** It is over. */
  end(urls: readonly string[]): Promise<void>;
}

const deadlineMs = 1_000;
const mostManagers = 8;

/** Asks those that are registered in the catalog. */
export function createManagers(options: {
  readonly redis: () => Redis;
  readonly group: string;
  readonly logger: Logger;
}): Managers {
  const { group, logger } = options;
  const path = `/v1/redis/groups/${encodeURIComponent(group)}/maintenance`;

  const urls = async (): Promise<readonly string[]> => {
    try {
      const read = createCatalogStore(options.redis(), 'rollback').snapshot();
      const { instances } = await withDeadline(read, deadlineMs, 'the catalog');
      return instances
        .filter(({ service }) => service === platformService('replication-manager'))
        .map(({ url }) => url)
        .slice(0, mostManagers);
    } catch (error) {
      logger.debug({ group, err: error }, 'rollback.managers_unknown');
      return [];
    }
  };
  const call = async (
    url: string,
    method: string,
    body?: unknown,
  ): Promise<{ readonly status: number; readonly body: unknown }> => {
    const response = await fetch(new URL(path, url), {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      signal: AbortSignal.timeout(deadlineMs),
    });
    return { status: response.status, body: await response.json().catch(() => null) };
  };
  const detailOf = (body: unknown): string => {
    const detail: unknown = typeof body === 'object' && body !== null && 'detail' in body ? body.detail : null;
    return typeof detail === 'string' ? detail : 'it gave no reason';
  };
  const windowsOf = (body: unknown): readonly { node: string | null; reason: string }[] =>
    typeof body === 'object' && body !== null && 'maintenance' in body && Array.isArray(body.maintenance)
      ? (body.maintenance as { node: string | null; reason: string }[])
      : [];

  return {
    busy: async (signal) => {
      for (const url of await urls()) {
        signal.throwIfAborted();
        const answer = await call(url, 'GET').catch(() => null);
        const [window] = answer?.status === 200 ? windowsOf(answer.body) : [];
        if (window !== undefined) return `maintenance of ${window.node ?? group}: ${window.reason}`;
      }
      return null;
    },
    announce: async (reason, forMs) => {
      const told: string[] = [];
      for (const url of await urls()) {
        const answer = await call(url, 'PUT', { for: `${Math.ceil(forMs / 1_000)}s`, reason }).catch(() => null);
        if (answer?.status === 200) told.push(url);
        if (answer?.status === 409) return { told, refused: detailOf(answer.body) };
      }
      return { told, refused: null };
    },
    end: async (told) => {
      await Promise.all(
        told.map(async (url) => {
          const answer = await call(url, 'DELETE').catch(() => null);
          if (answer?.status !== 200)
            logger.warn({ group, url, status: answer?.status }, 'rollback.maintenance_not_ended');
        }),
      );
    },
  };
}
