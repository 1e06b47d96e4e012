// End-to-end scenarios: real yards of real processes, one after the other, asserted from outside.
import unit from '../../tools/jest/config.mjs';

export default {
  ...unit,
  testMatch: ['<rootDir>/scenarios/**/*.e2e.ts'],
  maxWorkers: 1,
  testTimeout: 120_000,
};
