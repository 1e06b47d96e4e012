// Where are the registries, for a program that has no configuration of its own? In the environment, as for every service.

/** The addresses in SWITCHYARD_REGISTRY_URL, separated by commas; none when it is not set. */
export const registryUrlsIn = (env: NodeJS.ProcessEnv = process.env): readonly string[] =>
  (env['SWITCHYARD_REGISTRY_URL'] ?? '')
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '');
