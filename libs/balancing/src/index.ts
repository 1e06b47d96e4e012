// What may others use of balancing? The picker's words, and the table of policies.
export type { Candidate, NonePicked, Picked, Picker, PickResult, PolicyContext, Skipped } from './picker.ts';
export { pickerFor, policyTable } from './policy-table.ts';
export type { PickerRequest } from './policy-table.ts';
export { pickByKey } from './rendezvous.ts';
export { defaultSlowStart, warmWeight } from './slow-start.ts';
export type { SlowStart, WarmWeight } from './slow-start.ts';
