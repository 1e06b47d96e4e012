// What did the operator give each node before we touched it? Kept on our own disk: after a restart a value of ours must not be taken
// for theirs.
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeJson } from '@switchyard/protocol';
import { addressKey, operatorsFloor, type Address, type MinReplicas } from '@switchyard/replication';
import type { Logger } from '@switchyard/runtime';
import { z } from 'zod';

const valuesSchema = z.object({ toWrite: z.int(), maxLagSeconds: z.int() });
const fileSchema = z.record(z.string(), z.object({ operators: valuesSchema, ours: valuesSchema.nullable() }));
type Remembered = z.infer<typeof fileSchema>;

/** The memory of one group. */
export interface MinReplicasMemory {
  load(): Promise<void>;
  /** What a node has now was read. */
  seen(node: Address, now: MinReplicas): void;
  /** We set it. */
  set(node: Address, values: MinReplicas): void;
  /** Undefined until something was seen. */
  operators(node: Address): MinReplicas | undefined;
}

const mostNodes = 64;

/** A memory in `directory`; what the disk refuses is kept for as long as this process lives. */
export const createMinReplicasMemory = (directory: string, logger: Logger): MinReplicasMemory => {
  const file = join(directory, 'min-replicas.json');
  let nodes: Remembered = {};
  let writing: Promise<void> = Promise.resolve();

  const keep = (key: string, one: Remembered[string]): void => {
    if (JSON.stringify(nodes[key]) === JSON.stringify(one)) return;
    nodes = Object.fromEntries(
      [...Object.entries(nodes).filter(([other]) => other !== key), [key, one]].slice(-mostNodes),
    );
    const text = JSON.stringify(nodes);
    writing = writing
      .then(async () => {
        await writeFile(`${file}.new`, text, { mode: 0o600 });
        await rename(`${file}.new`, file);
      })
      .catch((error: unknown) => logger.error({ file, err: error }, 'min_replicas.memory_unwritten'));
  };

  return {
    async load() {
      const text = await readFile(file, 'utf8').catch(() => null);
      const decoded = text === null ? null : decodeJson(fileSchema, text);
      if (decoded?.ok === true) nodes = decoded.value;
    },
    seen(node, now) {
      const key = addressKey(node);
      const before = nodes[key];
      if (before === undefined) {
        keep(key, { operators: { ...now }, ours: null });
        return;
      }
      // Another manager lowers and raises it, too, but never above what it should be: more than that is an operator's word.
      const raised = now.toWrite > operatorsFloor(before);
      if (raised) keep(key, { ...before, operators: { ...before.operators, toWrite: now.toWrite } });
    },
    set(node, values) {
      const before = nodes[addressKey(node)];
      if (before !== undefined) keep(addressKey(node), { ...before, ours: { ...values } });
    },
    operators: (node) => nodes[addressKey(node)]?.operators,
  };
};
