// Which part of the worker keeps the further repositories like the first? None when there is only one.
import type { WorkerPart, WorkerTools } from '../worker-part.ts';
import type { OpenRepository } from './open-repository.ts';
import { createRepositoryCopier } from './repository-copier.ts';

/** Copies in the background. */
export function copiesPart(
  { metrics, health, clock, logger }: WorkerTools,
  { set }: Pick<OpenRepository, 'set'>,
): WorkerPart {
  if (set === undefined) return { routes: [], components: [] };
  return { routes: [], components: [createRepositoryCopier({ set, metrics, health, clock, logger })] };
}
