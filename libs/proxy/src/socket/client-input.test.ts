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

  it('costs about its size, even when it comes byte by byte', () => {
    const count = 200_000;
    const inputs = Array.from({ length: 20 }, () => new ClientInput());
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < count; i += 1) inputs[i % 20]?.wait(Buffer.from('x'));
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(count * 100);
    for (const input of inputs) expect(input.unread).toBe(count / 20);
  });

  it('holds nothing when everything was read', () => {
    const input = new ClientInput();
    input.append(Buffer.from('all'));
    input.at = 3;
    input.turn();
    expect([input.unread, input.bytes.length]).toEqual([0, 0]);
  });
});
