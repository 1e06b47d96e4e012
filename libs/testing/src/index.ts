// What may tests of other projects use? Real Redis groups, faults, and fakes for time and randomness.
export { startCluster, type ClusterOptions, type TestCluster } from './cluster.ts';
export { startDelayProxy, type DelayProxy, type DelayProxyOptions } from './delay-proxy.ts';
export { eventually, type EventuallyOptions } from './eventually.ts';
export { freePort } from './free-port.ts';
export { manualClock, type ManualClock } from './manual-clock.ts';
export { startObjectServer, type TestObjectServer } from './object-server.ts';
export { freeze, kill, resume, startOwned, type OwnedProcess, type OwnedProcessOptions } from './owned-process.ts';
export { startRedis, startSentinel, type TestRedis, type TestRedisOptions } from './redis.ts';
export { askRedis, type RespAddress, type RespReply } from './resp.ts';
export { seededRandom, type SeededRandom } from './seeded-random.ts';
export { startSentinelGroup, type SentinelGroup, type SentinelGroupOptions } from './sentinel-group.ts';
