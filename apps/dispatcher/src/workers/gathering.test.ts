// Is the answer complete, in time, and never less than it was?
import type { OutcomeView } from '../request-view.ts';
import { createGathering, type Gathering } from './gathering.ts';
import type { Answer, Question } from './messages.ts';

const metrics = (count: number): string => `# HELP n_total N\n# TYPE n_total counter\nn_total ${count}\n`;
const outcome = (requestId: string, second: number): OutcomeView =>
  ({ requestId, started: new Date(second * 1_000).toISOString() }) as OutcomeView;

/** Workers that answer what `says` holds; one without an entry is silent. */
function world(says: Map<number, Answer>): {
  readonly gathering: Gathering;
  readonly ask: (question: Question, own: Answer) => Promise<Answer>;
} {
  const gathering: Gathering = createGathering({
    deadlineMs: 30,
    respondents: () =>
      [1, 2, 3].map((number) => ({
        number,
        slot: number,
        isReady: true,
        ask(id) {
          const answer = says.get(number);
          if (answer !== undefined) setImmediate(() => gathering.answered(number, id, answer));
        },
      })),
  });
  return {
    gathering,
    ask: (question, own) =>
      new Promise((resolve) => {
        gathering.ask(question, { number: 1, slot: 1, own }, resolve);
      }),
  };
}

describe('what all workers say', () => {
  it('takes a worker that does not answer in time at its last word', async () => {
    const says = new Map<number, Answer>([
      [2, metrics(20)],
      [3, metrics(300)],
    ]);
    const { ask } = world(says);
    expect(await ask({ about: 'metrics' }, metrics(1))).toContain('n_total 321\n');
    says.delete(3);
    says.set(2, metrics(25));
    expect(await ask({ about: 'metrics' }, metrics(1))).toContain('n_total 326\n');
  });

  it('does not wait for a worker that ends meanwhile, and keeps what it had counted', async () => {
    const says = new Map<number, Answer>([[2, metrics(20)]]);
    const { gathering, ask } = world(says);
    gathering.farewell(3, metrics(300), []);
    const asked = ask({ about: 'metrics' }, metrics(1));
    gathering.ended(3);
    expect(await asked).toContain('n_total 321\n');
    expect(await ask({ about: 'metrics' }, metrics(2))).toContain('n_total 322\n');
  });

  it('finds a request at whichever worker it was, newest first, those of ended workers included', async () => {
    const says = new Map<number, Answer>([
      [2, [outcome('b', 5)]],
      [3, []],
    ]);
    const { gathering, ask } = world(says);
    gathering.farewell(4, metrics(0), [outcome('c', 9), outcome('d', 1)]);
    expect(await ask({ about: 'requests', limit: 3 }, [outcome('a', 2)])).toEqual([
      outcome('c', 9),
      outcome('b', 5),
      outcome('a', 2),
    ]);
    says.set(2, []);
    expect(await ask({ about: 'request', requestId: 'd' }, [])).toEqual([outcome('d', 1)]);
    expect(await ask({ about: 'request', requestId: 'unknown' }, [])).toEqual([]);
  });
});
