// Which Redis do the settings name, and are those refused that contradict each other?
import { ConfigError, loadConfig } from '@switchyard/runtime';
import { redisSettings, redisSettingsOf } from './settings.ts';

const load = (env: Record<string, string>) =>
  loadConfig(redisSettings, {
    env: Object.fromEntries(Object.entries(env).map(([name, value]) => [`SWITCHYARD_REDIS_${name}`, value])),
    app: 'registry',
  });
const settingsOf = (env: Record<string, string>) => redisSettingsOf(load(env));

describe('the settings of Redis', () => {
  it('name the Sentinels of the yard unless told otherwise', () => {
    expect(settingsOf({})).toMatchObject({ kind: 'sentinel', group: 'main' });
  });

  it('name the nodes of a cluster, which wins over Sentinels', () => {
    expect(settingsOf({ CLUSTER: '10.0.0.1:6379,[2001:db8::5]:7000', SENTINELS: '10.0.0.9:26379' })).toEqual({
      kind: 'cluster',
      nodes: [
        { host: '10.0.0.1', port: 6379 },
        { host: '2001:db8::5', port: 7000 },
      ],
      group: 'main',
    });
  });

  it('refuse a cluster together with a URL, and something that is no list of host:port', () => {
    expect(() => settingsOf({ CLUSTER: '10.0.0.1:6379', URL: 'redis://10.0.0.1' })).toThrow(ConfigError);
    expect(() => settingsOf({ CLUSTER: '10.0.0.1:6379', URL: 'redis://10.0.0.1' })).toThrow('keep one of them');
    expect(() => settingsOf({ CLUSTER: 'redis://10.0.0.1:6379/0' })).toThrow('SWITCHYARD_REDIS_CLUSTER');
  });

  it('take a URL with database 0 or none', () => {
    expect(settingsOf({ URL: 'redis://10.0.0.1:6380/0' })).toMatchObject({
      endpoint: { host: '10.0.0.1', port: 6380 },
    });
    expect(settingsOf({ URL: 'redis://10.0.0.1' })).toMatchObject({ endpoint: { host: '10.0.0.1', port: 6379 } });
  });

  it.each(['redis://10.0.0.1/3', 'redis://10.0.0.1?db=3'])('refuse a URL that names another database: %s', (url) => {
    expect(() => settingsOf({ URL: url })).toThrow(ConfigError);
    expect(() => settingsOf({ URL: url })).toThrow('database 3');
  });

  it('map announced addresses to reachable ones, each once', () => {
    expect(settingsOf({ NAT_MAP: '10.0.0.1:6379=127.0.0.1:4731,[2001:db8::5]:7000=localhost:4732' })).toMatchObject({
      natMap: {
        '10.0.0.1:6379': { host: '127.0.0.1', port: 4731 },
        '2001:db8::5:7000': { host: 'localhost', port: 4732 },
      },
    });
    expect(settingsOf({})).not.toHaveProperty('natMap');
    expect(() => settingsOf({ NAT_MAP: '10.0.0.1:6379' })).toThrow('host:port=host:port');
    expect(() => settingsOf({ NAT_MAP: 'a:1=b:1,a:1=b:2' })).toThrow('maps a:1 twice');
  });
});
