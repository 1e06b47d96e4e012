// `ops`: long work that runs or has ended lately.
import { operationSchema, type Operation } from '@switchyard/protocol';
import { z } from 'zod';
import type { Command } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';
import { followOperation, succeeded } from '../follow-operation.ts';
import { rowsOf } from '../output.ts';
import { timeText } from '../words.ts';

const listSchema = z.looseObject({ operations: z.array(operationSchema) });

/** The commands of the group. */
export const opsCommands: readonly Command[] = [
  {
    words: ['ops', 'list'],
    summary: 'Long work that waits, runs, or has ended lately; newest first',
    run: async ({ api, output, signal }) => {
      const document = listSchema.parse(await api.ask({ path: '/v1/operations', signal }));
      output.print(document, ({ operations }) => operationTable(operations));
      return exitCodes.ok;
    },
  },
  {
    words: ['ops', 'wait'],
    positionals: ['ID'],
    summary: 'Follows work until it has ended; succeeds when it has',
    run: async (context) => {
      const operation = await followOperation(context, context.given.positionals[0] ?? '');
      context.output.print(operation, (one) => operationTable([one]));
      succeeded(operation);
      return exitCodes.ok;
    },
  },
  {
    words: ['ops', 'cancel'],
    positionals: ['ID'],
    summary: 'Ends work; what was under way leaves nothing behind',
    run: async ({ api, given, output, signal }) => {
      const path = `/v1/operations/${encodeURIComponent(given.positionals[0] ?? '')}`;
      const operation = operationSchema.parse(await api.ask({ method: 'DELETE', path, signal }));
      output.print(operation, (one) => operationTable([one]));
      return exitCodes.ok;
    },
  },
];

/** Operations as rows. */
export function operationTable(operations: readonly Operation[]): string {
  return rowsOf({
    head: ['ID', 'KIND', 'OF', 'STATE', 'PERCENT', 'LEFT', 'SINCE', 'STEP'],
    rows: operations.map(({ id, kind, subject, state, percent, etaSeconds, createdAt, steps, problem }) => [
      id,
      kind,
      subject,
      state,
      percent,
      etaSeconds === null ? '-' : `${etaSeconds} s`,
      timeText(createdAt),
      problem?.detail ?? steps.find((step) => step.state === 'running')?.name ?? '-',
    ]),
    empty: 'There is no long work.',
  });
}
