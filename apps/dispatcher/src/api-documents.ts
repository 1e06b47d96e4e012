// Where do the parts of the merged API document come from? Each owner is asked for its own, with a deadline.
import type { Logger } from '@switchyard/runtime';
import { mergeOpenApi, type ApiDocument, type ApiPart } from './openapi-merge.ts';

const deadlineMs = 1_500;
const longestBytes = 4 * 1024 * 1024;
/** Documents change with a deployment only. */
const keepMs = 5_000;

/** The merged document; asks the owners at most once in 5 s. */
export function createApiDocuments(options: {
  readonly apps: readonly string[];
  /** `http://host:port` of an instance of the app, or undefined. */
  readonly originOf: (app: string) => string | undefined;
  readonly version: string;
  readonly monotonicMs: () => number;
  readonly logger: Logger;
}): { merged(): Promise<object> } {
  const { apps, originOf, version, monotonicMs, logger } = options;
  let asked: { readonly atMs: number; readonly document: Promise<object> } | undefined;

  const partOf = async (app: string): Promise<ApiPart> => {
    const origin = originOf(app);
    if (origin === undefined) return { app, document: undefined };
    try {
      const response = await fetch(`${origin}/v1/openapi.json`, {
        signal: AbortSignal.timeout(deadlineMs),
        redirect: 'error',
      });
      const text = await response.text();
      if (!response.ok || text.length > longestBytes)
        throw new Error(`status ${response.status}, ${text.length} bytes`);
      return { app, document: JSON.parse(text) as ApiDocument };
    } catch (error) {
      logger.debug({ app, err: error }, 'api.part_missing');
      return { app, document: undefined };
    }
  };
  const ask = async (): Promise<object> => mergeOpenApi(await Promise.all(apps.map(partOf)), { version });

  return {
    merged() {
      const nowMs = monotonicMs();
      if (!asked || nowMs - asked.atMs > keepMs) asked = { atMs: nowMs, document: ask() };
      return asked.document;
    },
  };
}
