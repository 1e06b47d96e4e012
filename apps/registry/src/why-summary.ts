// What does the answer to "why" say in sentences? The verdict, what it rests on, and who would decide otherwise.
import type { Evidence, InstanceWhy, SwitchyardEvent } from '@switchyard/protocol';

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;

const verbs: Partial<Record<SwitchyardEvent['type'], string>> = {
  'instance.registered': 'registered',
  'instance.updated': 'changed',
  'instance.suspected': 'suspected',
  'instance.revived': 'heard again',
  'instance.evicted': 'evicted',
  'instance.held': 'kept although it was silent',
  'instance.deregistered': 'deregistered',
  'instance.reaped': 'removed from the catalog some time after its eviction',
};

function evidenceOf(event: SwitchyardEvent): Evidence | undefined {
  return 'evidence' in event.data ? (event.data.evidence as Evidence | undefined) : undefined;
}

/** One event and what it rests on, in one sentence. */
export function sentenceOf(event: SwitchyardEvent): string {
  const evidence = evidenceOf(event);
  const reason = 'reason' in event.data && typeof event.data.reason === 'string' ? event.data.reason : undefined;
  const because = evidence?.detail ?? reason;
  const facts = [
    ...(evidence?.missedBeats === undefined ? [] : [`${evidence.missedBeats} heartbeats missed`]),
    ...(evidence?.probes ?? []).map(({ kind, outcome, tookMs }) => `${kind} probe: ${outcome} after ${tookMs} ms`),
    ...(evidence?.witnesses ?? []).map(({ by, detail }) => `${by} says: ${detail}`),
    ...(evidence?.localHealth ? [`the monitor doubted itself (${evidence.localHealth} of 8)`] : []),
    ...(evidence?.monitor === undefined ? [] : [`by ${evidence.monitor}`]),
    ...(evidence?.fencingToken === undefined ? [] : [`as leader with fencing token ${evidence.fencingToken}`]),
  ];
  const what = verbs[event.type] ?? event.type;
  const tail = facts.length === 0 ? '' : ` (${facts.join('; ')})`;
  return `${event.time}: ${what}${because === undefined ? '' : `: ${because}`}${tail}`;
}

/** The sentences, most important first. */
export function summaryOf(why: Omit<InstanceWhy, 'summary'>): string[] {
  const { instance, heartbeat, history, monitors, dispatchers } = why;
  const lines: string[] = [];
  const name = `${why.service}/${why.id}`;
  const [latest] = history;
  if (!instance) lines.push(`${name} is not in the catalog any more.`);
  else if (instance.eligible) lines.push(`${name} may take traffic.`);
  else lines.push(`${name} gets no new traffic: ${instance.reason ?? 'unknown'}.`);
  const verdict = history.find(({ type }) =>
    ['instance.evicted', 'instance.suspected', 'instance.held'].includes(type),
  );
  if (latest) lines.push(`Latest: ${sentenceOf(latest)}.`);
  if (verdict && verdict !== latest) lines.push(`Before that: ${sentenceOf(verdict)}.`);
  if (heartbeat) {
    const due = heartbeat.dueInMs >= 0 ? `due in ${seconds(heartbeat.dueInMs)}` : `${seconds(-heartbeat.dueInMs)} late`;
    lines.push(
      `Last heartbeat ${seconds(heartbeat.lastAgoMs)} ago, the next one is ${due} (TTL ${seconds(heartbeat.ttlMs)}).`,
    );
  } else if (instance) lines.push('Nobody waits for its heartbeats.');
  for (const { id, held } of monitors) if (held !== null) lines.push(`${id} does not evict it: ${held}.`);
  const leader = monitors.find((each) => each.leader);
  if (!leader && monitors.length > 0) lines.push('No monitor says that it leads: nobody is evicted at the moment.');
  const against = dispatchers.filter(({ picked }) => !picked);
  for (const { id, why: reason } of against) lines.push(`${id} does not pick it: ${reason ?? 'unknown'}.`);
  if (against.length === 0 && dispatchers.length > 0) lines.push(`All ${dispatchers.length} dispatchers pick it.`);
  return lines;
}
