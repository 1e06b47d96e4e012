import { ClientInput } from './client-input.ts';

describe('what a client has said and nobody has read', () => {
  it('is read in the order in which it came, however it was cut', () => {
    const input = new ClientInput();
    input.append(Buffer.from('first|sec'));
    input.at = 6;
    for (const letter of 'ond|third|') input.wait(Buffer.from(letter));
    expect(input.unread).toBe(13);
    expect(input.bytes.toString()).toBe('first|sec');
    input.turn();
    expect([input.at, input.bytes.toString()]).toEqual([0, 'second|third|']);
    input.at = 7;
    input.append(Buffer.from('end'));
    expect(input.rest().toString()).toBe('third|end');
  });

  it('stands in few buffers, even when it comes byte by byte', () => {
    const input = new ClientInput();
    let most = 0;
    for (let i = 0; i < 20_000; i += 1) {
      input.wait(Buffer.from('x'));
      most = Math.max(most, input.pieces);
    }
    expect([input.unread, most]).toEqual([20_000, 32]);
  });

  it('holds nothing when everything was read', () => {
    const input = new ClientInput();
    input.append(Buffer.from('all'));
    input.at = 3;
    input.turn();
    expect([input.unread, input.bytes.length]).toEqual([0, 0]);
  });
});
