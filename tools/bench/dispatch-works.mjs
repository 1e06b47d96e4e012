// Which work is given to the proxies, and what is measured at each? A table.
import { fastAmongSlow, fixedRate, halfLoad, heldIdle, heldSlow, saturated } from './dispatch-measures.mjs';

/**
 * `origins`: 'node' for three small apps on node:http, 'lean' for three NGINX ports that cost next to nothing.
 * `redirects`: only for peers that can redirect. `unmeasuredToo`: also without a proxy.
 */
export const works = [
  {
    name: 'small',
    title: 'Small GET (37 bytes), three origins on node:http',
    origins: 'node',
    path: '/',
    ratePerSecond: 1_000,
    unmeasuredToo: true,
    measures: [fixedRate, saturated, halfLoad],
  },
  {
    name: 'lean',
    title: 'Small GET (37 bytes), three origins that cost next to nothing (NGINX)',
    origins: 'lean',
    path: '/',
    measures: [saturated],
  },
  {
    name: 'mixed',
    title: 'Small GETs at origins that take 50 ms for one of 50 (latencies of the others)',
    origins: 'node',
    path: '/',
    ratePerSecond: 2_000,
    measures: [fastAmongSlow],
  },
  {
    name: 'large',
    title: 'Large GET (100 kB)',
    origins: 'node',
    path: '/large',
    ratePerSecond: 200,
    answerBytes: 100_000,
    measures: [fixedRate, saturated],
  },
  {
    name: 'post',
    title: 'POST of 10 kB that comes back',
    origins: 'node',
    path: '/echo',
    bodyBytes: 10_000,
    answerBytes: 10_000,
    script: 'post-10kb.lua',
    ratePerSecond: 1_000,
    measures: [fixedRate, saturated],
  },
  {
    name: 'redirect',
    title: 'Redirects (the client goes to an origin itself)',
    origins: 'node',
    path: '/redirect/x',
    redirects: true,
    ratePerSecond: 1_000,
    measures: [fixedRate, saturated],
  },
  {
    name: 'memory',
    title: 'Memory for connections that do nothing',
    origins: 'node',
    path: '/',
    measures: [heldIdle, heldSlow],
  },
];
