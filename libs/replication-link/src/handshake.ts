// What does a replica say to its source, and what does each answer mean?
// A step machine without I/O: it hands out one command, is given one reply line, and says what follows.
//
//   auth? -> ping -> announce -> capabilities -> snapshot-only? -> sync -> (full resync | continue | refused)
//
// Each command waits for the reply of the one before: a source that still owes us a reply when PSYNC arrives answers
// "-ERR SYNC and PSYNC are invalid with pending output". Source: replication.c (syncWithMaster, replconfCommand, syncCommand).
import { printable, problemOfErrorLine, type ReplicationProblemCode } from './replication-problem.ts';

/** What the handshake waits for; each state is named by the command whose reply is due. */
export type HandshakeStage = 'auth' | 'ping' | 'announce' | 'capabilities' | 'snapshot-only' | 'sync' | 'done';

/** A place in a replication stream: the history's id (40 hex digits) and the number of its bytes that are already held. */
export interface StreamPosition {
  readonly replicationId: string;
  readonly offset: number;
}

/** What the replica asks for. */
export interface HandshakePlan {
  /** ACL user; only used together with `password`. Without it the password is that of the default user. */
  readonly username?: string;
  readonly password?: string;
  /** Ask for the data set alone: the source then keeps no stream buffer for us and cannot cut us off because it overflowed. */
  readonly snapshotOnly?: boolean;
  /** Where a real replica of ours would be found; the source shows it in its INFO. Without it we announce port 0: nobody can connect back. */
  readonly announce?: { readonly host: string; readonly port: number };
  /** Continue after this position where the source still can; without it the source sends the whole data set. */
  readonly position?: StreamPosition;
}

/** What follows from a reply. */
export type HandshakeAnswer =
  | { readonly kind: 'send'; readonly command: readonly string[] }
  | { readonly kind: 'full-resync'; readonly position: StreamPosition }
  | { readonly kind: 'continue'; readonly position: StreamPosition }
  | { readonly kind: 'refused'; readonly code: ReplicationProblemCode; readonly detail: string };

/** One handshake: call `start` once, send its command, then `receive` for each reply line until it no longer says `send`. */
export interface Handshake {
  readonly stage: () => HandshakeStage;
  start(): readonly string[];
  receive(line: string): HandshakeAnswer;
}

/** A handshake for `plan`; nothing is sent by it. */
export function createHandshake(plan: HandshakePlan): Handshake {
  const commands = commandsOf(plan);
  let index = 0;

  const stage = (): HandshakeStage => commands[index]?.stage ?? 'done';
  return {
    stage,
    start: () => commands[0]?.command ?? [],
    receive: (line) => {
      const current = stage();
      if (current === 'sync') {
        index += 1;
        return answerOfSync(line, plan.position);
      }
      const refused = refusalOf(current, line);
      if (refused !== undefined) return refused;
      index += 1;
      const following = commands[index];
      return following === undefined
        ? { kind: 'refused', code: 'protocol_error', detail: 'The source spoke after the handshake had ended.' }
        : { kind: 'send', command: following.command };
    },
  };
}

interface PlannedCommand {
  readonly stage: HandshakeStage;
  readonly command: readonly string[];
}

function commandsOf(plan: HandshakePlan): readonly PlannedCommand[] {
  const commands: PlannedCommand[] = [];
  if (plan.password !== undefined)
    commands.push({
      stage: 'auth',
      command: plan.username === undefined ? ['AUTH', plan.password] : ['AUTH', plan.username, plan.password],
    });
  commands.push(
    { stage: 'ping', command: ['PING'] },
    { stage: 'announce', command: announcementOf(plan) },
    { stage: 'capabilities', command: ['REPLCONF', 'capa', 'eof', 'capa', 'psync2'] },
  );
  if (plan.snapshotOnly === true) commands.push({ stage: 'snapshot-only', command: ['REPLCONF', 'rdb-only', '1'] });
  const { replicationId, offset } = plan.position ?? { replicationId: '?', offset: -2 };
  // PSYNC names the next byte that is wanted; "? -1" means "I have nothing".
  commands.push({ stage: 'sync', command: ['PSYNC', replicationId, String(offset + 1)] });
  return commands;
}

function announcementOf({ announce }: HandshakePlan): readonly string[] {
  // Port 0 also marks the row in the source's INFO as not being a real replica.
  if (announce === undefined) return ['REPLCONF', 'listening-port', '0'];
  return ['REPLCONF', 'listening-port', String(announce.port), 'ip-address', announce.host];
}

function refusalOf(stage: HandshakeStage, line: string): HandshakeAnswer | undefined {
  if (line.startsWith('+')) return undefined;
  const detail = `The source answered ${stage} with: ${printable(line)}`;
  if (!line.startsWith('-')) return { kind: 'refused', code: 'protocol_error', detail };
  const code = problemOfErrorLine(line, stage === 'auth' ? 'auth_failed' : 'refused');
  // Old or foreign servers do not know every REPLCONF option; all of them are wishes, none is needed.
  const isWish = stage === 'announce' || stage === 'capabilities' || stage === 'snapshot-only';
  return isWish && code === 'refused' ? undefined : { kind: 'refused', code, detail };
}

function answerOfSync(line: string, asked: StreamPosition | undefined): HandshakeAnswer {
  const detail = `The source answered sync with: ${printable(line)}`;
  if (line.startsWith('-')) return { kind: 'refused', code: problemOfErrorLine(line), detail };
  const full = /^\+FULLRESYNC ([0-9a-f]{40}) (\d{1,16})$/.exec(line);
  if (full !== null) {
    const offset = Number(full[2]);
    if (Number.isSafeInteger(offset))
      return { kind: 'full-resync', position: { replicationId: full[1] ?? '', offset } };
  }
  const resumed = /^\+CONTINUE(?: ([0-9a-f]{40}))?$/.exec(line);
  // After a failover the source may give the history a new id; the offset goes on counting.
  if (resumed !== null && asked !== undefined)
    return { kind: 'continue', position: { replicationId: resumed[1] ?? asked.replicationId, offset: asked.offset } };
  return { kind: 'refused', code: 'protocol_error', detail };
}
