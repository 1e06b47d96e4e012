// How do rows become columns? As wide as their longest cell, numbers to the right; nothing is cut off.

/** A head and rows of cells. */
export interface Table {
  readonly head: readonly string[];
  readonly rows: readonly (readonly (string | number | null)[])[];
  /** What is said instead of a table without rows. */
  readonly empty: string;
}

/** The table as lines. */
export function tableText({ head, rows, empty }: Table): string {
  if (rows.length === 0) return `${empty}\n`;
  const cells = [head, ...rows.map((row) => row.map((cell) => printable(cell)))];
  const widths = head.map((_, column) => Math.max(...cells.map((row) => widthOf(row[column] ?? ''))));
  const isNumber = head.map((_, column) =>
    rows.every((row) => typeof row[column] === 'number' || row[column] === null),
  );
  const lines = cells.map((row) =>
    row
      .map((cell, column) => {
        const gap = ' '.repeat(Math.max(0, (widths[column] ?? 0) - widthOf(cell)));
        return isNumber[column] === true ? gap + cell : cell + gap;
      })
      .join('  ')
      .trimEnd(),
  );
  return `${lines.join('\n')}\n`;
}

function printable(cell: string | number | null): string {
  // A key or a detail may hold what would move the cursor.
  // oxlint-disable-next-line no-control-regex -- that is what is taken out
  return cell === null ? '-' : String(cell).replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '?');
}

function widthOf(text: string): number {
  return text.length;
}
