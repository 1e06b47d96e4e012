// What do all workers say to one question? Asked by the worker that a client happened to reach; each of the others answers
// within the deadline or is taken at its last word. What workers said before they ended counts, too.
import type { OutcomeView } from '../request-view.ts';
import { addEnded, forgetGone, mergeTexts, type EndedSums } from './exposition.ts';
import type { Answer, Question } from './messages.ts';

/** A worker that can be asked. */
export interface Respondent {
  readonly number: number;
  readonly slot: number;
  /** Whether it knows all instances; one that starts does not yet. */
  readonly isReady: boolean;
  ask(id: number, question: Question): void;
}

export interface Gathering {
  /**
   * Calls `done` once, after `deadlineMs` at the latest, with what everybody says together. `asker` is who asks, with what it says
   * itself; undefined to hear what all have counted, in case that one of them ends without a word.
   */
  ask(
    question: Question,
    asker: { readonly number: number; readonly slot: number; readonly own: Answer } | undefined,
    done: (answer: Answer) => void,
  ): void;
  answered(number: number, id: number, answer: Answer): void;
  /** A worker says its last: kept when `ended` is called. */
  farewell(number: number, metrics: string, outcomes: readonly OutcomeView[]): void;
  ended(number: number): void;
}

/** Outcomes of requests that ended workers leave behind, in all. */
const keptOutcomes = 1_024;
/** Questions under way; one more is answered by the asker alone. */
const mostQuestions = 64;

interface Open {
  readonly question: Question;
  readonly waitsFor: Set<number>;
  readonly answers: Map<number, Answer>;
  readonly finish: () => void;
}

/** `respondents` gives those that live now. */
export function createGathering(options: {
  readonly respondents: () => readonly Respondent[];
  readonly deadlineMs: number;
}): Gathering {
  const { respondents, deadlineMs } = options;
  const open = new Map<number, Open>();
  const lastTexts = new Map<number, { readonly slot: number; readonly text: string }>();
  const endedSums: EndedSums = new Map();
  let endedOutcomes: readonly OutcomeView[] = [];
  let asked = 0;

  const metricsOf = (answers: ReadonlyMap<number, Answer>): string => {
    const living = respondents();
    for (const [number, text] of answers) {
      const slot = living.find((one) => one.number === number)?.slot;
      if (slot !== undefined && typeof text === 'string') lastTexts.set(number, { slot, text });
    }
    const texts = living.flatMap(({ number }) => lastTexts.get(number) ?? []);
    const heardAll = living.length > 0 && living.every(({ number, isReady }) => isReady && answers.has(number));
    if (heardAll) forgetGone(endedSums, texts);
    return mergeTexts(texts, endedSums);
  };
  const outcomesOf = (answers: ReadonlyMap<number, Answer>, question: Question): readonly OutcomeView[] => {
    const wanted = (one: OutcomeView): boolean => question.about !== 'request' || one.requestId === question.requestId;
    const said = [...answers.values()].flatMap((answer) => (typeof answer === 'string' ? [] : answer));
    const limit = question.about === 'requests' ? question.limit : 1;
    return [...said, ...endedOutcomes.filter(wanted)].toSorted(newestFirst).slice(0, limit);
  };

  return {
    ask(question, asker, done) {
      asked += 1;
      const id = asked;
      const others = respondents().filter(({ number }) => number !== asker?.number);
      const answers = new Map<number, Answer>(asker ? [[asker.number, asker.own]] : []);
      const waitsFor = new Set(open.size < mostQuestions ? others.map(({ number }) => number) : []);
      const finish = (): void => {
        clearTimeout(timer);
        if (!open.delete(id)) return;
        done(question.about === 'metrics' ? metricsOf(answers) : outcomesOf(answers, question));
      };
      const timer = setTimeout(finish, deadlineMs);
      open.set(id, { question, waitsFor, answers, finish });
      for (const one of others) if (waitsFor.has(one.number)) one.ask(id, question);
      if (waitsFor.size === 0) finish();
    },
    answered(number, id, answer) {
      const question = open.get(id);
      if (!question?.waitsFor.delete(number)) return;
      question.answers.set(number, answer);
      if (question.waitsFor.size === 0) question.finish();
    },
    farewell(number, metrics, outcomes) {
      lastTexts.set(number, { slot: lastTexts.get(number)?.slot ?? 0, text: metrics });
      endedOutcomes = [...outcomes, ...endedOutcomes].toSorted(newestFirst).slice(0, keptOutcomes);
    },
    ended(number) {
      const last = lastTexts.get(number);
      lastTexts.delete(number);
      if (last) addEnded(endedSums, last.text);
      for (const question of open.values()) {
        if (question.waitsFor.delete(number) && question.waitsFor.size === 0) question.finish();
      }
    },
  };
}

const newestFirst = (one: OutcomeView, other: OutcomeView): number =>
  one.started < other.started ? 1 : one.started > other.started ? -1 : 0;
