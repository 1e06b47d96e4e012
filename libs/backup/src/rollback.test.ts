// The courses of a rollback as transcripts: what the machine waits for and what it sends, in order.
import { rollbackLimits, type RollbackCommand, type RollbackLook, type RollbackState } from './rollback-plan.ts';
import { worldPlan } from './rollback-world-fixture.ts';
import { beginRollback, mayCancelRollback, stepRollback } from './rollback.ts';

const plan = worldPlan('sentinel');
const ours = { host: '192.0.2.1', port: 7_001 };
const look = (primary: Partial<RollbackLook['primary']> = {}, rest: Partial<RollbackLook> = {}): RollbackLook => ({
  primary: {
    ...plan.primary,
    reachable: true,
    runId: plan.runId,
    role: 'primary',
    replicationId: plan.replicationId,
    previousReplicationId: null,
    offset: 1_000,
    follows: null,
    link: null,
    ...primary,
  },
  replicas: [],
  named: plan.primary,
  epoch: plan.epoch,
  serving: { contacted: true, sentBytes: 1, failure: null },
  ...rest,
});
const loaded = look({ role: 'replica', follows: ours, link: 'up', offset: plan.targetOffset });
const risen = look({ replicationId: 'b'.repeat(40), offset: plan.targetOffset });

class Story {
  state: RollbackState = beginRollback(plan, 0);
  nowMs = 0;
  readonly lines: string[] = [];

  look(seen: RollbackLook, answer: 'ok' | 'refused' | 'none' = 'ok'): this {
    this.nowMs += 10;
    const step = stepRollback(this.state, { type: 'look', look: seen }, this.nowMs);
    this.state = step.state;
    for (const command of step.commands) this.answer(command, answer);
    if (this.lines.at(-1) !== this.state.waitsFor) this.lines.push(this.state.waitsFor);
    return this;
  }

  until(waitsFor: string, seen: RollbackLook): this {
    for (let turn = 0; this.state.waitsFor !== waitsFor; turn += 1) {
      if (turn > 20) throw new Error(`it waits for ${this.state.waitsFor}: ${this.lines.join(' ')}`);
      this.look(seen);
    }
    return this;
  }

  private answer(command: RollbackCommand, outcome: 'ok' | 'refused' | 'none'): void {
    const said = command.to === 'driver' ? command.work.type : command.words.slice(0, 3).join(' ');
    this.lines.push(`  ${command.key.replace(/^(set|restore) .*/, '$1')}: ${said}`);
    if (outcome === 'none') return;
    const { key } = command;
    const input = { type: 'answer', key, outcome, detail: outcome === 'ok' ? '' : 'no', address: ours } as const;
    this.state = stepRollback(this.state, input, this.nowMs).state;
  }
}

describe('stepRollback', () => {
  it('holds the writers, seals, hands over, compares, promotes and lets go, in this order', () => {
    const story = new Story()
      .until('data-taken', look())
      .look(look())
      .look(look())
      .until('promoted', loaded)
      .look(loaded);
    story.until('ended', risen);
    expect(story.state).toMatchObject({ outcome: 'done', reason: null, left: [], notes: [] });
    const said = story.lines.filter((line, at) => line !== story.lines[at - 1]);
    expect(said).toEqual([
      '  serve-target: serve-target',
      'target-served',
      'guards-raised',
      '  set: SENTINEL SET main',
      '  set: CONFIG SET min-replicas-to-write',
      'guards-raised',
      'writes-paused',
      '  pause: CLIENT PAUSE 10000',
      'writes-paused',
      'point-sealed',
      '  seal 0: seal',
      'point-sealed',
      'data-taken',
      '  demote: REPLICAOF 192.0.2.1 7001',
      'data-taken',
      'data-proven',
      '  prove-target: prove',
      'data-proven',
      'promoted',
      '  promote: REPLICAOF NO ONE',
      'promoted',
      'writes-resumed',
      '  release: CLIENT UNPAUSE',
      'writes-resumed',
      '  probe: probe',
      'writes-resumed',
      'replicas-level',
      'settings-restored',
      '  restore: SENTINEL SET main',
      '  restore: CONFIG SET min-replicas-to-write',
      'settings-restored',
      'ended',
    ]);
  });

  it.each<[string, RollbackLook]>([
    ['restarted', look({ runId: 'f'.repeat(40) })],
    ['not primary any more', look({ role: 'replica', follows: ours })],
    ['another history', look({ replicationId: 'e'.repeat(40) })],
    ['in epoch 4', look({}, { epoch: 4 })],
    ['have no majority', look({}, { named: null, epoch: null })],
    ['name 10.0.0.2:6379', look({}, { named: plan.replicas[0] ?? null })],
  ])('touches no data when at the last moment it is %s', (reason, seen) => {
    const story = new Story().until('data-taken', look());
    story.look(seen);
    expect(story.state.reason).toContain(reason);
    story.until('ended', look({ runId: seen.primary.runId }));
    expect(story.state.outcome).toBe('refused');
    expect(story.lines.some((line) => line.includes('REPLICAOF'))).toBe(false);
    expect(story.lines.filter((line) => line.startsWith('  restore')).length).toBeGreaterThanOrEqual(4);
  });

  it('seals again when the primary has moved on since the safety point', () => {
    const story = new Story().until('data-taken', look());
    story
      .look(look({ offset: 1_014 }))
      .until('data-taken', look({ offset: 1_014 }))
      .look(look({ offset: 1_014 }));
    expect(story.state).toMatchObject({ barrier: 1_014, takeAsked: true });
  });

  it('gives the data of before back when what was taken differs', () => {
    const story = new Story().until('data-taken', look()).look(look()).look(look()).until('data-proven', loaded);
    story.look(loaded, 'refused');
    expect(story.state).toMatchObject({ waitsFor: 'data-judged', reason: 'prove-target: no' });
    story.look(loaded);
    story.nowMs += 500;
    story.until('safety-taken', loaded);
    const back = look({ role: 'replica', follows: ours, link: 'up', offset: plan.safetyOffset });
    story.until('role-returned', back).look(back).until('ended', risen);
    expect(story.state.outcome).toBe('undone');
    expect(story.lines.filter((line) => line.includes('REPLICAOF NO'))).toEqual(['  return: REPLICAOF NO ONE']);
  });

  it('only takes the order back when the node could not reach us', () => {
    const story = new Story().until('data-taken', look()).look(look()).look(look());
    const alone = look(
      { role: 'replica', follows: ours, link: 'down' },
      { serving: { contacted: false, sentBytes: 0, failure: null } },
    );
    story.look(alone);
    story.nowMs += rollbackLimits.contactMs + 100;
    story.look(alone).look(alone);
    story.nowMs += 500;
    story.look(alone).look(alone).until('ended', risen);
    expect(story.state).toMatchObject({
      outcome: 'undone',
      reason: expect.stringContaining('could not connect to 192.0.2.1'),
    });
    expect(story.lines.some((line) => line.includes('serve-safety'))).toBe(false);
  });

  it('gives the Sentinels their patience back at once when the primary dies, and follows whom they choose', () => {
    const story = new Story().until('data-taken', look()).look(look()).look(look());
    const gone = look({ reachable: false, runId: null, role: null, follows: null });
    story.look(gone);
    story.nowMs += rollbackLimits.goneMs + 10;
    story.look(gone).look(gone);
    expect(story.lines.filter((line) => line.startsWith('  restore'))).toHaveLength(3);
    const heir = {
      ...look().primary,
      ...(plan.replicas[0] ?? plan.primary),
      previousReplicationId: plan.replicationId,
    };
    const after = {
      ...gone,
      named: plan.replicas[0] ?? null,
      epoch: 4,
      replicas: [{ ...heir, replicationId: 'c'.repeat(40) }],
    };
    story.look(after).look(after);
    story.nowMs += rollbackLimits.restoreMs;
    story.look(after);
    expect(story.state).toMatchObject({ waitsFor: 'ended', outcome: 'undone', heir: plan.replicas[0] });
  });

  it('can be cancelled until the order is given, and finishes afterwards', () => {
    const early = new Story().until('point-sealed', look());
    expect(mayCancelRollback(early.state)).toBe(true);
    early.state = stepRollback(early.state, { type: 'cancel' }, early.nowMs).state;
    early.until('ended', look());
    expect(early.state).toMatchObject({ outcome: 'refused', cancelled: true });
    const late = new Story().until('data-taken', look()).look(look()).look(look());
    late.state = stepRollback(late.state, { type: 'cancel' }, late.nowMs).state;
    late.until('promoted', loaded).look(loaded).until('ended', risen);
    expect(late.state).toMatchObject({ outcome: 'done', notes: [expect.stringContaining('too late')] });
  });

  it('goes on after a restart with what was already taken, without serving it again', () => {
    const story = new Story().until('data-taken', look()).look(look()).look(look());
    story.state = stepRollback(story.state, { type: 'resume' }, story.nowMs).state;
    story.lines.length = 0;
    story
      .until('promoted', { ...loaded, serving: null })
      .look(loaded)
      .until('ended', risen);
    expect(story.state.outcome).toBe('done');
    expect(story.lines.some((line) => line.includes('serve-target'))).toBe(false);
  });

  it('begins nothing that cannot be written down', () => {
    const story = new Story().until('point-sealed', look());
    story.state = stepRollback(story.state, { type: 'journal-lost', detail: 'disk full' }, story.nowMs).state;
    story.until('ended', look());
    expect(story.state).toMatchObject({ outcome: 'refused', reason: expect.stringContaining('disk full') });
  });
});
