export { accessOf } from './connection-options.ts';
export { createRedis } from './connection.ts';
export { keepSubscribed } from './subscription.ts';
export { isRedisUnavailable, redisRefusal } from './unavailable.ts';
export type { RedisConnections } from './connection.ts';
export type { KnownPrimary } from './primary-watch.ts';
export { createPromotionWatch } from './promotion-watch.ts';
export type { PromotionWatch, PromotionWatchOptions, SaidRole } from './promotion-watch.ts';
export type { ConnectionUse, RedisEndpoint, RedisGroupSettings, RedisSettings } from './connection-options.ts';
export { redisSettings, redisSettingsOf } from './settings.ts';
export { createFitnessWatch } from './fitness-watch.ts';
export { createCatalogStore } from './catalog-store.ts';
export { createCatalogFeed } from './catalog-feed.ts';
export type { CatalogFeed, FeedNews, FeedStatus } from './catalog-feed.ts';
export { confirmed, createDurableWriter } from './durability.ts';
export type { DurableAck, DurableWriter, DurableWriterOptions, WriteCommand, WriteOutcome } from './durability.ts';
export type { DurabilityLevel } from './durability-level.ts';
export { createDurableCatalog } from './durable-catalog.ts';
export type { DurableCatalog } from './durable-catalog.ts';
export { createReplicaReader } from './replica-reads.ts';
export type { ReplicaRead, ReplicaReader, ReplicaReaderOptions } from './replica-reads.ts';
export { createEpochKeeper } from './epoch-keeper.ts';
export { announceEvent, decideAndCommit } from './commit-loop.ts';
export type { Carried } from './commit-loop.ts';
export { beat } from './heartbeats.ts';
export { beatByCheck } from './check-beats.ts';
export type { CheckBeat } from './check-beats.ts';
export { readDeadlines, releaseMonitorLease, sweep } from './sweep.ts';
export type { PassedDeadline, Sweep, SweepOptions } from './sweep.ts';
export { createLeases } from './leases.ts';
export type { AcquiredLease, HeldLease, Leases } from './leases.ts';
export { createDispatcherBoard } from './dispatcher-board.ts';
export type { DispatcherBoard, HeardDispatcher, HeardDrains } from './dispatcher-board.ts';
export { drainView, readDrain } from './dispatcher-drain.ts';
export { createReplayFence } from './replay-fence.ts';
export type { ReplayFence, ReplayFenceOptions } from './replay-fence.ts';
export { createRedisRegistrar } from './registrar.ts';
export type { RedisRegistrar } from './registrar.ts';
export type { Redis } from 'ioredis';
export { RedisNodeError } from './direct-connection.ts';
export type { RedisAccess } from './direct-connection.ts';
export type { DigestNode } from './digest-connection.ts';
export type { DigestPace, DigestPaceOptions } from './digest-pace.ts';
export { nameHash, openDigestReader } from './digest-reader.ts';
export type { DigestedKey, DigestReader } from './digest-reader.ts';
export { createRedisNodeAdmin } from './node-admin.ts';
export type { RedisNodeAdmin, RedisNodeAdminOptions } from './node-admin.ts';
export { createRedisHistory } from './redis-history.ts';
export type { RedisHistory } from './redis-history.ts';
export { createSentinelWatch } from './sentinel-watch.ts';
export type {
  SentinelAddress,
  SentinelMember,
  SentinelMessage,
  SentinelWatch,
  SentinelWatchOptions,
} from './sentinel-watch.ts';
