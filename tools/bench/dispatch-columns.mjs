// What are the numbers of the bench `dispatch` called, and how are they written?

/** In the order of the table; `better` says which way is better. */
export const dispatchColumns = [
  { key: 'fixedCpuUs', title: 'CPU a request, fixed rate', unit: 'us', digits: 1, better: 'less' },
  { key: 'fixedP50Ms', title: 'p50, fixed rate', unit: 'ms', digits: 2, better: 'less' },
  { key: 'fixedP99Ms', title: 'p99, fixed rate', unit: 'ms', digits: 2, better: 'less' },
  { key: 'saturatedPerSecond', title: 'saturated', unit: '/s', digits: 0, better: 'more' },
  { key: 'saturatedCpuUs', title: 'CPU a request, saturated', unit: 'us', digits: 1, better: 'less' },
  { key: 'halfRate', title: 'half load', unit: '/s', digits: 0 },
  { key: 'halfP50Ms', title: 'p50, half load', unit: 'ms', digits: 2, better: 'less' },
  { key: 'halfP99Ms', title: 'p99, half load', unit: 'ms', digits: 2, better: 'less' },
  { key: 'halfP999Ms', title: 'p99.9, half load', unit: 'ms', digits: 2, better: 'less' },
  { key: 'fastP50Ms', title: 'p50 of the quick ones', unit: 'ms', digits: 2, better: 'less' },
  { key: 'fastP99Ms', title: 'p99 of the quick ones', unit: 'ms', digits: 2, better: 'less' },
  { key: 'fastP999Ms', title: 'p99.9 of the quick ones', unit: 'ms', digits: 2, better: 'less' },
  { key: 'idleMiB', title: 'with 5,000 idle clients', unit: 'MiB', digits: 0, better: 'less' },
  { key: 'idleKiB', title: 'for each idle client', unit: 'KiB', digits: 1, better: 'less' },
  { key: 'slowMiB', title: 'then with 100 clients that do not read', unit: 'MiB', digits: 0, better: 'less' },
  { key: 'slowKiB', title: 'for each that does not read', unit: 'KiB', digits: 0, better: 'less' },
];
