export { createAgent } from './agent.ts';
export type { Agent, AgentOptions, AgentPhase, AgentState } from './agent.ts';
export { createHttpRegistrar } from './http-registrar.ts';
export type { HttpRegistrarOptions } from './http-registrar.ts';
export { misdirected } from './misdirected.ts';
export { inTurn } from './registrar.ts';
export type { Registrar } from './registrar.ts';
