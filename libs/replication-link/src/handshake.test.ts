import { createHandshake, type HandshakeAnswer, type HandshakePlan } from './handshake.ts';

const history = '0123456789abcdef0123456789abcdef01234567';
const other = 'f'.repeat(40);

// Plays a source: gives the replies one by one, returns what was sent and the last answer.
function play(plan: HandshakePlan, replies: readonly string[]): { sent: string[]; last: HandshakeAnswer | undefined } {
  const handshake = createHandshake(plan);
  const sent = [handshake.start().join(' ')];
  let last: HandshakeAnswer | undefined;
  for (const reply of replies) {
    last = handshake.receive(reply);
    if (last.kind !== 'send') break;
    sent.push(last.command.join(' '));
  }
  return { sent, last };
}

describe('createHandshake', () => {
  it('asks for a whole data set one command at a time', () => {
    const { sent, last } = play({}, ['+PONG', '+OK', '+OK', `+FULLRESYNC ${history} 1104357`]);
    expect(sent).toEqual(['PING', 'REPLCONF listening-port 0', 'REPLCONF capa eof capa psync2', 'PSYNC ? -1']);
    expect(last).toEqual({ kind: 'full-resync', position: { replicationId: history, offset: 1104357 } });
  });

  it('authenticates first, with a user or with the password alone, and can ask for the data set alone', () => {
    expect(
      play({ username: 'copier', password: 'p w', snapshotOnly: true }, ['+OK', '+PONG', '+OK', '+OK', '+OK']).sent,
    ).toEqual([
      'AUTH copier p w',
      'PING',
      'REPLCONF listening-port 0',
      'REPLCONF capa eof capa psync2',
      'REPLCONF rdb-only 1',
      'PSYNC ? -1',
    ]);
    expect(play({ password: 'secret' }, []).sent).toEqual(['AUTH secret']);
  });

  it('asks for the byte after its position and takes the new id of a history that goes on after a failover', () => {
    const plan = { position: { replicationId: history, offset: 99 } };
    const { sent, last } = play(plan, ['+PONG', '+OK', '+OK', `+CONTINUE ${other}`]);
    expect(sent.at(-1)).toBe(`PSYNC ${history} 100`);
    expect(last).toEqual({ kind: 'continue', position: { replicationId: other, offset: 99 } });
    expect(play(plan, ['+PONG', '+OK', '+OK', '+CONTINUE']).last).toEqual({
      kind: 'continue',
      position: plan.position,
    });
  });

  it('goes on when an old server does not know an option', () => {
    const unknown = '-ERR Unrecognized REPLCONF option: rdb-only';
    const { last } = play({ snapshotOnly: true }, ['+PONG', unknown, unknown, unknown, `+FULLRESYNC ${history} 0`]);
    expect(last?.kind).toBe('full-resync');
  });

  it.each([
    ['ping', ['-NOAUTH Authentication required.'], 'auth_required'],
    ['ping', ['-LOADING Redis is loading the dataset in memory'], 'loading'],
    ['ping', ['-MASTERDOWN Link with MASTER is down'], 'no_master_link'],
    ['ping', ['-DENIED Redis is running in protected mode'], 'refused'],
    ['ping', ['HTTP/1.1 400 Bad Request'], 'protocol_error'],
    ['announce', ['+PONG', '-NOPERM this user has no permissions'], 'no_permission'],
    ['sync', ['+PONG', '+OK', '+OK', "-NOMASTERLINK Can't SYNC while not connected with my master"], 'no_master_link'],
    ['sync', ['+PONG', '+OK', '+OK', '-NOPERM no psync for you'], 'no_permission'],
    ['sync', ['+PONG', '+OK', '+OK', '-ERR SYNC and PSYNC are invalid with pending output'], 'refused'],
    ['sync', ['+PONG', '+OK', '+OK', '+CONTINUE'], 'protocol_error'],
    ['sync', ['+PONG', '+OK', '+OK', `+FULLRESYNC ${history} -1`], 'protocol_error'],
    ['sync', ['+PONG', '+OK', '+OK', `+FULLRESYNC ${history} 9999999999999999`], 'protocol_error'],
    ['sync', ['+PONG', '+OK', '+OK', `+FULLRESYNC ${history.slice(1)} 1`], 'protocol_error'],
  ])('names what went wrong at %s: %j', (stage, replies, code) => {
    const { last } = play({}, replies);
    expect(last).toMatchObject({ kind: 'refused', code });
    expect(last?.kind === 'refused' && last.detail).toContain(`answered ${stage} with: `);
  });

  it('tells a wrong password from a missing one', () => {
    for (const reply of [
      '-WRONGPASS invalid username-password pair',
      '-ERR AUTH called without any password configured',
    ])
      expect(play({ password: 'x' }, [reply]).last).toMatchObject({ code: 'auth_failed' });
  });

  it('keeps control characters of a stranger out of its messages', () => {
    const { last } = play({}, [`-ERR \u001b[2J${'x'.repeat(500)}`]);
    expect(last?.kind === 'refused' && last.detail).toMatch(/^[\u0020-\u007e]{1,200}$/);
  });
});
