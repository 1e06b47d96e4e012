// Transcripts: what goes in and what the follower makes of it, as text that can be read. To accept what the
// follower says now, run with SWITCHYARD_ACCEPT_TRANSCRIPTS=1 and read the difference.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { RedisFailover } from '@switchyard/protocol';
import { step, type FollowerInput } from './failover-follower.ts';
import { followerState, waitsFor } from './failover-state.ts';
import { parseSentinelEvent } from './sentinel-parser.ts';
import type { NodeSighting } from './sighting.ts';

const directory = new URL('transcripts/', import.meta.url);
const portOf = (name: string): number => 4730 + Number(name.slice(1));
const addressOf = (name: string): { host: string; port: number } => ({ host: '127.0.0.1', port: portOf(name) });

/** `r2=replica/413>r1:down`, `r3=primary/413/L1/L0/413` (lineage, previous lineage, shared bytes), `r1=gone`. */
function nodeOf(spec: string, atMs: number): NodeSighting {
  const [name = '', said = ''] = spec.split('=');
  const [role = '', offset = '', lineage, previous, shared] = said.split('/');
  const [bytes = '', follows] = offset.split('>');
  const seen = role === 'primary' || role === 'replica';
  const [leader, link] = follows?.split(':') ?? [];
  return {
    name,
    ...addressOf(name),
    seen,
    seenAtMs: seen ? atMs : null,
    failure: seen ? null : role,
    role: seen ? role : null,
    offset: seen ? Number(bytes) : null,
    lineage: lineage ?? null,
    previousLineage: previous ?? null,
    sharedOffset: shared === undefined ? null : Number(shared),
    follows: leader === undefined ? null : addressOf(leader),
    link: leader === undefined ? null : link === 'down' ? 'down' : 'up',
  };
}

function inputOf(words: readonly string[], atMs: number): FollowerInput {
  const [kind = '', first = '', ...rest] = words;
  if (kind === 'seen') {
    const [named = '', epoch] = first.split('@');
    return {
      type: 'sighting',
      sighting: { named: addressOf(named), epoch: Number(epoch), nodes: rest.map((spec) => nodeOf(spec, atMs)) },
    };
  }
  if (kind === 'write') {
    const outcome = rest[0] as 'acked' | 'gone' | 'silent' | 'refused';
    return { type: 'probe', at: addressOf(first), outcome, detail: rest.slice(1).join(' ') };
  }
  return { type: 'event', sentinel: kind, event: parseSentinelEvent(first, rest.join(' ')) };
}

function told(entry: RedisFailover): readonly string[] {
  return [
    `${entry.kind} ${entry.id}: ${entry.from?.name ?? '?'} -> ${entry.to.name}, first sign at ${String(entry.startedAtMs)}`,
    `  cause: ${entry.cause}`,
    `  phases: ${entry.phases.map(({ name, atMs }) => `${name} ${String(atMs)}`).join(', ')}`,
    `  writes unavailable: ${String(entry.writesUnavailableMs)} ms`,
    `  data loss: ${entry.dataLoss.verdict}: ${entry.dataLoss.detail}`,
    ...entry.evidence.map((line) => `  | ${line}`),
  ];
}

function transcript(input: string): string {
  let state = followerState('main');
  let waited: string | null = null;
  const lines: string[] = [];
  for (const line of input.split('\n').filter((text) => text.trim() !== '' && !text.startsWith('#'))) {
    const [at = '', ...words] = line.trim().split(/ +/);
    const result = step(state, inputOf(words, Number(at)), Number(at));
    state = result.state;
    if (result.finished !== undefined) lines.push(...told(result.finished));
    const waits = waitsFor(state);
    if (waits !== waited) lines.push(waits === null ? `${at}: nothing under way` : `${at}: waits for ${waits}`);
    waited = waits;
  }
  return lines.join('\n');
}

describe('the follower of a failover', () => {
  const files = readdirSync(directory).filter((name) => name.endsWith('.txt'));

  it('has transcripts to follow', () => {
    expect(files.length).toBeGreaterThan(4);
  });

  it.each(files)('tells %s as it is written down', (name) => {
    const file = new URL(name, directory);
    const [input = '', expected = ''] = readFileSync(file, 'utf8').split('\n---\n');
    if (process.env['SWITCHYARD_ACCEPT_TRANSCRIPTS'] === '1') {
      writeFileSync(file, `${input}\n---\n${transcript(input)}\n`);
    }
    expect(transcript(input)).toBe(expected.trimEnd());
  });
});
