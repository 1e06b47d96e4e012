// Which cuts are tried? Three machines (Redis and Sentinel on each; m1 has the primary), a client on m1's side and one on the other.

/** `failover`: whether a new primary is right. `writable`: which clients can get writes acknowledged once that has settled. */
export const scenarios = [
  {
    name: 'client-with-primary',
    about: 'the primary, its Sentinel and a client on one side, the majority and another client on the other',
    cut: (network) => network.split(['m1', 'near'], ['m2', 'm3', 'far']),
    failover: true,
  },
  {
    name: 'primary-alone',
    about: 'the primary and its Sentinel alone',
    cut: (network) => network.split(['m1'], ['m2', 'm3', 'near', 'far']),
    failover: true,
  },
  {
    name: 'asymmetric-deaf',
    about: 'the primary hears nobody but the client beside it; what it says arrives',
    cut: (network) => ['m2', 'm3', 'far'].forEach((from) => network.cut(from, 'm1')),
    failover: true,
  },
  {
    name: 'asymmetric-mute',
    about: 'what the primary says arrives nowhere but at the client beside it; it hears everybody',
    cut: (network) => ['m2', 'm3', 'far'].forEach((to) => network.cut('m1', to)),
    failover: true,
  },
  {
    name: 'replica-link',
    about: 'the primary and one replica do not reach each other; everybody else reaches both',
    cut: (network) => network.split(['m1'], ['m2']),
    failover: false,
  },
  {
    name: 'minority',
    about: 'one replica, its Sentinel and a client on one side, the primary and the majority on the other',
    cut: (network) => network.split(['m3', 'far'], ['m1', 'm2', 'near']),
    failover: false,
  },
];
