// Does the engine hold when clients and instances are both hostile? A short run; tools/chaos/fuzz-proxy.mjs makes long ones and says
// how a finding is looked at by itself.
import { seededRandom } from '@switchyard/testing';
import { createFuzzLedger } from './fuzz-ledger-fixture.ts';
import { markText, marksIn } from './fuzz-messages-fixture.ts';
import { readStrictAnswer } from './fuzz-reading-fixture.ts';
import { runFuzz } from './fuzz-run-fixture.ts';

const { seed } = seededRandom();

describe(`20,000 mutated messages of clients and instances (SWITCHYARD_TEST_SEED=${seed})`, () => {
  it('crash nothing, hold nothing up, and reach nobody they are not for', async () => {
    const { findings, inputs, answers } = await runFuzz({ seed, inputs: 20_000, concurrency: 64 });
    expect({ seed, findings }).toEqual({ seed, findings: [] });
    expect(inputs).toBeGreaterThanOrEqual(20_000);
    expect(answers).toBeGreaterThan(5_000);
  }, 120_000);
});

describe('the oracles', () => {
  it('find an answer that strayed, and forgive only what was said when the question was on its way', () => {
    const ledger = createFuzzLedger(() => 1_000);
    const [right, late] = [{ input: 1, index: 0, flag: 'b' } as const, ledger.unaskedMark()];
    ledger.said(late);
    ledger.strayed(late, 1_010, 2);
    expect([ledger.raced, ledger.findings.length]).toEqual([1, 0]);
    ledger.strayed(late, 1_050, 2);
    ledger.strayed(right, 0, 2);
    expect([ledger.raced, ledger.findings.length]).toEqual([1, 2]);
  });

  it('know a mark from a bent one', () => {
    const text = markText({ input: 7, index: 1, flag: 'h' });
    expect(marksIn(`x${text}${text.replace('7', '8')}`)).toEqual([{ input: 7, index: 1, flag: 'h' }]);
  });

  it('read no answer that is incomplete or can be read in two ways', () => {
    const read = (text: string, closed = false): unknown => readStrictAnswer(text, 0, { method: 'GET', closed });
    const head = 'HTTP/1.1 200 OK\r\n';
    expect(read(`${head}Content-Length: 2\r\n\r\nok!`)).toMatchObject({ status: 200, body: 'ok' });
    expect(read(`${head}Content-Length: 3\r\n\r\nok`, true)).toBe('incomplete');
    expect(read(`${head}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n`, true)).toBe('incomplete');
    expect(read(`${head}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n`)).toBe('fault');
    expect(read(`${head}X: a\nb\r\n\r\n`)).toBe('fault');
  });
});
