// No proxy at all: what the origins and the load generator cost by themselves. Only its latency means something.
export const direct = {
  name: 'direct',
  title: 'no proxy',
  redirects: false,
  unmeasured: true,
  prepare: async () => ({ version: '' }),
  start: async (_bench, { origins }) => ({
    port: origins[0],
    pid: undefined,
    isRunning: () => true,
    output: () => '',
    stop: async () => undefined,
  }),
};
