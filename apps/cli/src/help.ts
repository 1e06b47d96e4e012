// What can be asked for, and how? Told from the same tables by which it is read.
import type { Command, CommandOption } from './command.ts';

/** All commands, or those of the group that `args` begin with. */
export function overview(commands: readonly Command[], args: readonly string[]): string {
  const group = commands.filter(({ words }) => words[0] === args[0]);
  const shown = group.length > 0 ? group : commands;
  const rows = shown.map((command) => [`switchyard ${usageOf(command)}`, command.summary] as const);
  const width = Math.max(...rows.map(([usage]) => usage.length));
  return `${rows.map(([usage, summary]) => `${usage.padEnd(width)}  ${summary}`).join('\n')}

Data goes to stdout, progress to stderr. -o json|yaml for programs. --help after a command tells its options.
Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 conflict, 5 degraded, 6 auth, 7 timeout, 8 refused for safety, 130 interrupted.
`;
}

/** Help of one command. */
export function commandHelp(command: Command, common: Readonly<Record<string, CommandOption>>): string {
  const rows = Object.entries({ ...command.options, ...common }).map(([name, option]) => {
    const short = option.short === undefined ? '    ' : `-${option.short}, `;
    return [`  ${short}--${name}${option.value === undefined ? '' : ` ${option.value}`}`, option.doc] as const;
  });
  const width = Math.max(...rows.map(([option]) => option.length));
  const options = rows.map(([option, doc]) => `${option.padEnd(width)}  ${doc}`).join('\n');
  const examples = (command.examples ?? []).map((line) => `\n  ${line}`).join('');
  const shown = examples === '' ? '' : `\nExamples:${examples}\n`;
  return `switchyard ${usageOf(command)}\n\n${command.summary}\n\nOptions:\n${options}\n${shown}`;
}

function usageOf({ words, positionals = [] }: Command): string {
  return [...words, ...positionals].join(' ');
}
