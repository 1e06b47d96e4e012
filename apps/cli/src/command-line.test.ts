import { problem, run, startAnswering, type AnsweringServer } from './world-fixture.ts';

let server: AnsweringServer;
beforeEach(async () => {
  server = await startAnswering();
});
afterEach(() => server.end());
const switchyard = (...args: string[]) => run(args, { url: server.url });

describe('the command line', () => {
  it('shows what there is, and what each command takes', async () => {
    expect(await switchyard('--help')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('switchyard backup rollback'),
    });
    expect(await switchyard('ops', '--help')).toMatchObject({ code: 0, stdout: expect.not.stringContaining('backup') });
    const help = await switchyard('backup', 'restore', '--help');
    expect(help).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/--directory PATH[^]*--url URL[^]*Examples:/),
    });
    expect(await switchyard()).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining('switchyard ops list'),
    });
  });

  it.each([
    [['backup', 'rolback'], 'There is no command "backup rolback". There are list, create'],
    [['nonsense'], 'There are backup, ops, version.'],
    [['backup', 'list', '--colour'], "Unknown option '--colour'"],
    [['backup', 'show'], 'LABEL is missing.'],
    [['backup', 'list', 'one'], 'one is too much.'],
    [['ops', 'list', '-o', 'xml'], 'no output format "xml"'],
    [['ops', 'list', '--url', 'localhost'], '"localhost" is no URL'],
    [['ops', 'list', '--timeout', 'long'], 'long is no duration'],
    [['backup', 'rollback', '--yes'], '--to is missing'],
    [['backup', 'rollback', '--yes', '--to', 'offset:x'], '--to offset:x names no moment'],
    [['backup', 'restore'], 'one of --directory and --node'],
  ])('refuses %j as usage', async (args, text) => {
    const ran = await switchyard(...args);
    expect(ran).toMatchObject({ code: 2, stdout: '' });
    expect(ran.stderr).toContain(text);
    expect(ran.stderr).toContain('next: ');
    expect(server.asked).toEqual([]);
  });

  it.each([
    ['not_found', 404, 3],
    ['invalid_input', 400, 2],
    ['conflict', 409, 4],
    ['lease_held', 409, 4],
    ['refused_for_safety', 409, 8],
    ['not_restorable', 422, 1],
    ['backup_corrupt', 422, 1],
    ['no_replica', 503, 5],
    ['timed_out', 504, 7],
    ['unauthorized', 401, 6],
    ['internal', 500, 1],
  ])('turns the problem %s (%i) into exit code %i, and tells what, why and what next', async (code, status, exit) => {
    server.answer = () => ({ status, body: problem(code, status, 'It was not possible.', ['r2 is away']) });
    const ran = await switchyard('ops', 'list');
    expect(ran).toEqual({
      code: exit,
      stdout: '',
      stderr: 'switchyard: It was not possible.\n  - r2 is away\nnext: do something else\n',
    });
    const json = await switchyard('ops', 'list', '-o', 'json');
    expect(JSON.parse(json.stdout)).toMatchObject({ code, status });
  });

  it('says where it looked when nobody answers, and what answers something else', async () => {
    const nobody = await run(['ops', 'list'], { url: 'http://127.0.0.1:1' });
    expect(nobody).toMatchObject({
      code: 5,
      stderr: expect.stringMatching(/127.0.0.1:1 cannot be reached[^]*npm start/),
    });
    server.answer = () => ({ status: 502, body: 'teapot' });
    expect(await switchyard('ops', 'list')).toMatchObject({ code: 1, stderr: expect.stringContaining('answered 502') });
  });

  it('prints the same document as a table, as JSON and as YAML', async () => {
    const document = { operations: [], extra: { 'a b': 'yes', list: [{ x: 1, y: [] }, 'no: way'], none: null } };
    server.answer = () => ({ body: document });
    expect((await switchyard('ops', 'list')).stdout).toBe('There is no long work.\n');
    expect(JSON.parse((await switchyard('ops', 'list', '-o', 'json')).stdout)).toEqual(document);
    expect((await switchyard('ops', 'list', '-o', 'yaml')).stdout).toBe(
      'operations: []\nextra:\n  a b: "yes"\n  list:\n    - x: 1\n      "y": []\n    - "no: way"\n  none: null\n',
    );
  });

  it('tells its version without a server, and that of the server', async () => {
    server.answer = () => ({ body: { info: { version: '9.9.9' } } });
    expect(JSON.parse((await switchyard('version', '-o', 'json')).stdout)).toMatchObject({
      server: '9.9.9',
      problem: null,
    });
    const alone = await run(['version'], { url: 'http://127.0.0.1:1' });
    expect(alone).toMatchObject({ code: 0, stdout: expect.stringMatching(/^switchyard \d+\.\d+\.\d+ /) });
  });
});
