// `backup window|restore|rollback`: which moments there are, and going back to one.
import type { Command } from '../command.ts';
import { confirmed } from '../confirm.ts';
import { exitCodes } from '../exit-codes.ts';
import { usageFailure } from '../failure.ts';
import { carryOut, succeeded } from '../follow-operation.ts';
import { momentDoc, momentText, parseMomentOption } from '../moment-option.ts';
import { msText, timeText } from '../words.ts';
import { groupOf, groupOption, noWaitOption, yesOption } from './backup-options.ts';
import { locatedSchema, locatedText, windowSchema, windowText } from './moment-texts.ts';
import { operationTable } from './ops.ts';
import { rollbackCommand } from './rollback.ts';

/** The commands that are about moments. */
export const backupMomentCommands: readonly Command[] = [
  {
    words: ['backup', 'window'],
    summary: 'To which moments the data can be brought back, gaps, and what happened lately',
    options: {
      group: groupOption,
      events: { type: 'string', value: 'N', doc: 'so many of the latest events, at most 500. 20' },
    },
    run: async (context) => {
      const { api, given, output, signal } = context;
      const limit = given.text('events');
      if (limit !== undefined && !/^\d{1,3}$/.test(limit))
        throw usageFailure(`--events ${limit} is no count.`, 'Try 50.');
      const query = { group: groupOf(context) };
      const window = windowSchema.parse(await api.ask({ path: '/v1/backups/window', query, signal }));
      const more =
        limit === undefined ? {} : await api.ask({ path: '/v1/backups/events', query: { ...query, limit }, signal });
      output.print(windowSchema.parse({ ...window, ...(more as object) }), windowText);
      return exitCodes.ok;
    },
  },
  {
    words: ['backup', 'restore'],
    summary: 'Restores a moment into a directory, or into a server of its own',
    options: {
      group: groupOption,
      to: { type: 'string', value: 'MOMENT', doc: `${momentDoc}. now` },
      directory: {
        type: 'string',
        short: 'd',
        value: 'PATH',
        doc: "on the worker's machine, absent or empty; redis-server loads it",
      },
      node: { type: 'string', value: 'HOST:PORT', doc: 'a running server, empty unless --overwrite' },
      as: { type: 'string', value: 'ROLE', doc: 'what the node becomes: primary or replica. primary' },
      overwrite: { type: 'boolean', doc: 'the data that is on the node may go' },
      yes: yesOption,
      'dry-run': { type: 'boolean', doc: 'only tell which moment would be restored' },
      'no-wait': noWaitOption,
    },
    examples: [
      'switchyard backup restore --to before:FLUSHALL --directory /var/tmp/before',
      'switchyard backup restore --to -10m --node 10.0.0.9:6379',
    ],
    run: async (context) => {
      const { api, given, output, signal } = context;
      const group = groupOf(context);
      const to = parseMomentOption(given.text('to') ?? 'now');
      const target = targetOf(given);
      if (given.flag('dry-run')) {
        const query = Object.fromEntries(
          Object.entries({ group, ...to }).map(([name, value]) => [name, String(value)]),
        );
        const located = locatedSchema.parse(await api.ask({ path: '/v1/backups/locate', query, signal }));
        output.print(located, locatedText);
        return exitCodes.ok;
      }
      if ('overwrite' in target && target.overwrite)
        await confirmed(context, `Replace all data of ${target.node} by that of ${momentText(to)}?`);
      const operation = succeeded(await carryOut(context, { path: '/v1/restores', body: { group, to, target } }));
      output.print(operation, (one) => {
        if (one.state !== 'succeeded') return operationTable([one]);
        const { point } = locatedSchema.partial().safeParse(one.result).data ?? {};
        const what = point === undefined ? 'The moment' : `${timeText(point.at)} (offset ${point.offset})`;
        return `${what} is in ${'node' in target ? target.node : target.directory}.${tookText(one)}\n`;
      });
      return exitCodes.ok;
    },
  },
  rollbackCommand,
];

function targetOf(given: { text(name: string): string | undefined; flag(name: string): boolean }) {
  const [directory, node, role] = [given.text('directory'), given.text('node'), given.text('as') ?? 'primary'];
  const help = 'switchyard backup restore --help shows both.';
  if ((directory === undefined) === (node === undefined))
    throw usageFailure('Name one of --directory and --node: it says where to restore to.', help);
  if (role !== 'primary' && role !== 'replica')
    throw usageFailure(`--as ${role} is no role.`, 'Choose primary or replica.');
  if (directory !== undefined) return { directory };
  return { node: node ?? '', as: role, overwrite: given.flag('overwrite') };
}

function tookText({ startedAt, finishedAt }: { startedAt: string | null; finishedAt: string | null }): string {
  if (startedAt === null || finishedAt === null) return '';
  return ` It took ${msText(Date.parse(finishedAt) - Date.parse(startedAt))}.`;
}
