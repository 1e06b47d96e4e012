// Does every import keep the rules of the house? dependency-cruiser finds the imports; the rules are in its configuration.
import { cruise } from 'dependency-cruiser';
import { cruiseOptions, importRules } from './dependency-cruiser.config.mjs';

/** Problems of all imports within `folders` of the workspace at `root`. */
export async function checkImports(root, folders) {
  const { enhancedResolveOptions, ...options } = cruiseOptions;
  const forbidden = importRules(root);
  const { output } = await cruise(
    folders,
    { ...options, baseDir: root, validate: true, ruleSet: { forbidden }, outputType: 'json' },
    enhancedResolveOptions,
  );
  const { modules } = JSON.parse(output);

  const advice = new Map(forbidden.map(({ name, comment }) => [name, comment]));
  return modules.flatMap((module) =>
    module.dependencies.flatMap((dependency) =>
      (dependency.rules ?? []).map(({ name }) => ({
        path: module.source,
        rule: name.split('#')[0],
        advice: `imports ${dependency.module}: ${advice.get(name)}`,
      })),
    ),
  );
}
