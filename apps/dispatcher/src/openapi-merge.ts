// What does the whole control API look like? The documents of all owners as one.

/** An OpenAPI document as far as merging needs it. */
export interface ApiDocument {
  readonly paths?: Readonly<Record<string, unknown>>;
  readonly components?: Readonly<Record<string, Readonly<Record<string, unknown>> | undefined>>;
}

/** One owner's part; undefined when it could not be had. */
export interface ApiPart {
  readonly app: string;
  readonly document: ApiDocument | undefined;
}

/** Paths that every service has for itself: shown once, for the dispatcher. */
const commonPaths: ReadonlySet<string> = new Set(['/livez', '/readyz', '/metrics', '/v1/openapi.json']);

/**
 * One document. Of two parts with the same path or schema the first wins. Owners that could not be asked are named in
 * `x-switchyard-missing`, so that a part that is away is not mistaken for one that does not exist.
 */
export function mergeOpenApi(parts: readonly ApiPart[], info: { readonly version: string }): object {
  const paths: Record<string, unknown> = {};
  const components: Record<string, Record<string, unknown>> = {};
  for (const { app, document } of parts) {
    for (const [path, item] of Object.entries(document?.paths ?? {})) {
      if (path.startsWith('/control/') || (app !== 'dispatcher' && commonPaths.has(path))) continue;
      paths[path] ??= item;
    }
    for (const [kind, entries] of Object.entries(document?.components ?? {})) {
      const merged = (components[kind] ??= {});
      for (const [name, entry] of Object.entries(entries ?? {})) merged[name] ??= entry;
    }
  }
  const missing = parts.filter(({ document }) => document === undefined).map(({ app }) => app);
  return {
    openapi: '3.1.1',
    info: {
      title: 'Switchyard',
      version: info.version,
      description: 'The control API of all services, as the control listener of the dispatcher serves it.',
    },
    paths: Object.fromEntries(Object.entries(paths).sort(([one], [other]) => (one < other ? -1 : 1))),
    components,
    'x-switchyard-missing': missing,
  };
}
