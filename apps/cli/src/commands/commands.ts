// Which commands are there? Each group in a file of its own; a new group is a line here.
import type { Command } from '../command.ts';
import { backupCommands } from './backup.ts';
import { backupMomentCommands } from './backup-moments.ts';
import { opsCommands } from './ops.ts';
import { versionCommand } from './version.ts';

/** All of them, in the order of the help. */
export const commands: readonly Command[] = [
  ...backupCommands,
  ...backupMomentCommands,
  ...opsCommands,
  versionCommand,
];
