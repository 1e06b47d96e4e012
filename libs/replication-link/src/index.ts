export { fetchSnapshot } from './fetch-snapshot.ts';
export type { SnapshotRequest } from './fetch-snapshot.ts';
export { createHandshake } from './handshake.ts';
export { encodeCommand } from './resp.ts';
export type { Handshake, HandshakeAnswer, HandshakePlan, HandshakeStage, StreamPosition } from './handshake.ts';
export { openFullResync } from './replication-link.ts';
export type { FullResync, ReplicationLinkOptions, SnapshotProgress } from './replication-link.ts';
export { ReplicationLinkError } from './replication-problem.ts';
export type { ReplicationProblemCode } from './replication-problem.ts';
