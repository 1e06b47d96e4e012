// How is data printed? As a table for people, as JSON or YAML for programs: the same document that the API gave.
import { tableText, type Table } from './table.ts';
import { yamlText } from './yaml.ts';

/** A way to print data. */
export type Format = 'table' | 'json' | 'yaml';

/** Prints what a command is about. */
export interface Output {
  readonly format: Format;
  /** Prints a document; `people` makes text of it where a table is wanted. To be called once for each document. */
  print<T>(document: T, people: (document: T) => string): void;
}

/** Whether it is one of the formats. */
export function isFormat(text: string): text is Format {
  return text === 'table' || text === 'json' || text === 'yaml';
}

/** Prints to `stream`. */
export function createOutput(stream: NodeJS.WritableStream, format: Format): Output {
  return {
    format,
    print: (document, people) => {
      if (format === 'json') stream.write(`${JSON.stringify(document, null, 2)}\n`);
      else if (format === 'yaml') stream.write(yamlText(document));
      else stream.write(people(document));
    },
  };
}

/** Text of rows under a head. */
export const rowsOf = (table: Table): string => tableText(table);
