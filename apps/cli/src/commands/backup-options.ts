// Which options do several of the backup commands have?
import type { CommandContext, CommandOption } from '../command.ts';

/** `--group` */
export const groupOption: CommandOption = {
  type: 'string',
  short: 'g',
  value: 'GROUP',
  doc: 'the group of Redis nodes. main',
};
/** `--no-wait` */
export const noWaitOption: CommandOption = {
  type: 'boolean',
  doc: 'begin, print the operation, and do not follow it (switchyard ops wait ID does)',
};
/** `--yes` */
export const yesOption: CommandOption = { type: 'boolean', short: 'y', doc: 'do it without asking' };

/** The group that is meant. */
export function groupOf({ given }: Pick<CommandContext, 'given'>): string {
  return given.text('group') ?? 'main';
}
