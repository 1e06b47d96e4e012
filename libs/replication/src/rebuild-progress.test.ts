import { parseSyncFacts, syncProgress } from './rebuild-progress.ts';

const facts = (...lines: readonly string[]) => parseSyncFacts(lines.join('\r\n'));
const primary = facts('role:master', 'master_replid:aaa', 'master_repl_offset:500');
const saving = facts(
  'role:master',
  'master_replid:aaa',
  'current_save_keys_processed:50',
  'current_save_keys_total:200',
);
const replica = ['role:slave', 'master_replid:bbb', 'master_link_status:down'];

describe('the progress of a copy', () => {
  it('begins with the wait for the primary and its snapshot', () => {
    expect(syncProgress(facts(...replica), { primary, targetOffset: 500 })).toMatchObject({
      phase: 'waiting',
      percent: 0,
    });
    const waits = facts(...replica, 'master_sync_in_progress:1', 'master_sync_read_bytes:0');
    expect(syncProgress(waits, { primary, targetOffset: 500 })).toMatchObject({ phase: 'waiting', percent: 2 });
  });

  it('is told by bytes when there is a total, else by the keys that the primary has saved, else not at all', () => {
    const copies = [...replica, 'master_sync_in_progress:1', 'master_sync_read_bytes:300'];
    const percentOf = (lines: readonly string[], source: typeof primary) =>
      syncProgress(facts(...lines), { primary: source, targetOffset: 500 }).percent;
    expect(percentOf([...copies, 'master_sync_total_bytes:600'], primary)).toBe(28);
    expect(percentOf([...copies, 'master_sync_total_bytes:0'], saving)).toBe(16);
    expect(percentOf([...copies, 'master_sync_total_bytes:0'], primary)).toBe(5);
  });

  it('goes on while the snapshot is loaded, with the time that is left', () => {
    const loads = facts(...replica, 'loading:1', 'loading_loaded_perc:50.10', 'loading_eta_seconds:3');
    expect(syncProgress(loads, { primary, targetOffset: 500 })).toMatchObject({
      phase: 'loading',
      percent: 73,
      etaSeconds: 3,
    });
  });

  it('is at its end when the link is up, the lineage is the primary’s and the offset is reached, and not before', () => {
    const linked = (lineage: string, offset: number) =>
      syncProgress(
        facts('role:slave', `master_replid:${lineage}`, 'master_link_status:up', `slave_repl_offset:${String(offset)}`),
        { primary, targetOffset: 500 },
      );
    expect(linked('aaa', 499)).toMatchObject({ phase: 'catching-up', percent: 99 });
    expect(linked('bbb', 500).phase).not.toBe('done');
    expect(linked('aaa', 500)).toMatchObject({ phase: 'done', percent: 100 });
  });
});
