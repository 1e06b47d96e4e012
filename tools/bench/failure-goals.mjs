// What is counted when something fails, and which of these numbers are to be reached?

export const failureColumns = [
  { key: 'requests', title: 'requests', unit: '', digits: 0 },
  { key: 'failedIdempotent', title: 'failed GET', unit: '', digits: 0, better: 'less' },
  { key: 'failedOther', title: 'failed POST', unit: '', digits: 0, better: 'less' },
  { key: 'slowestMs', title: 'slowest', unit: 'ms', digits: 0, better: 'less' },
  { key: 'over1s', title: 'slower than 1 s', unit: '', digits: 0, better: 'less' },
  { key: 'p99Ms', title: 'p99', unit: 'ms', digits: 1, better: 'less' },
  { key: 'amplification', title: 'asked of the origins for each request', unit: '', digits: 3, better: 'less' },
  { key: 'poisonAttempts', title: 'times an origin got the poison', unit: '', digits: 0, better: 'less' },
];

const goal = (text, [work, key], most) => ({ text, most, got: (value) => value(work, 'ours', key) });

export const failureGoals = [
  goal('kill -9: failed GET', ['kill', 'failedIdempotent'], 0),
  goal('kill -9: slowest, ms', ['kill', 'slowestMs'], 300),
  goal('SIGSTOP: failed GET', ['stop', 'failedIdempotent'], 0),
  goal('SIGSTOP: requests slower than 1 s', ['stop', 'over1s'], 40),
  {
    text: 'poison: other requests that failed',
    most: 0,
    got: (value) => sumOf(value('poison', 'ours', 'failedIdempotent'), value('poison', 'ours', 'failedOther')),
  },
  goal('poison: times an origin got it', ['poison', 'poisonAttempts'], 2),
  goal('one answers 503: asked of the origins for each request', ['failing', 'amplification'], 1.2),
  {
    text: 'rolling restart: failed requests',
    most: 0,
    got: (value) => sumOf(value('rolling', 'ours', 'failedIdempotent'), value('rolling', 'ours', 'failedOther')),
  },
];

function sumOf(one, other) {
  return one === undefined || other === undefined ? undefined : one + other;
}
