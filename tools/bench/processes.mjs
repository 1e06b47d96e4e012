// What runs while a bench runs, and how does all of it end? Every process is pinned to a core, known by its pid, and gone
// when the bench is: also when the bench itself is killed, where the kernel can be asked for that (setpriv).
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { Problem } from '../dev/problem.mjs';

const keptOutput = 16 * 1024;
const killedAfterMs = 5_000;

/**
 * The processes of one bench run.
 *
 * `start({ name, command, args, env, cwd, core, talk, onOutput, deathSignal })` gives a process; `talk` opens a channel
 * for messages (Node only), `onOutput` gets the chunks of its stdout in place of the log.
 */
export function createProcesses() {
  const running = new Set();
  return {
    async start(plan) {
      const one = launch(plan, running);
      await one.started;
      return one;
    },
    /** Ends everything that still runs; resolves when it has ended. */
    async endAll() {
      await Promise.all([...running].reverse().map((one) => one.stop()));
    },
    /** At the very end, when nothing can be waited for. */
    killAll() {
      for (const one of running) one.kill();
    },
  };
}

function launch({ name, command, args = [], env, cwd, core, talk = false, onOutput, deathSignal = 'KILL' }, running) {
  const [program, ...words] = [...prefix(core, deathSignal), command, ...args];
  const child = spawn(program, words, {
    cwd,
    env: env ?? process.env,
    // A group of its own: Ctrl-C reaches the bench alone, and what the process starts itself can be ended with it.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', ...(talk ? ['ipc'] : [])],
  });
  let output = '';
  const keep = (chunk) => (output = (output + chunk.toString('latin1')).slice(-keptOutput));
  child.stdout.on('data', onOutput ?? keep);
  child.stderr.on('data', keep);
  child.on('error', () => undefined);
  const signalTo = (signal, group) => {
    try {
      process.kill(group ? -child.pid : child.pid, signal);
    } catch {
      // it has ended already
    }
  };
  const one = {
    name,
    pid: child.pid,
    output: () => output,
    isRunning: () => running.has(one),
    started: new Promise((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (error) => reject(new Problem(`${name} cannot be started: ${error.message}`)));
    }),
    ended: new Promise((resolve) => child.once('close', (code, signal) => resolve({ code, signal }))),
    /** Hands over every message from now on. */
    listen: (take) => child.on('message', take),
    send: (message) => child.connected && child.send(message, () => undefined),
    next: (state, ms) => nextMessage(one, child, { state, ms }),
    signal: (signal) => running.has(one) && signalTo(signal, false),
    kill: () => running.has(one) && signalTo('SIGKILL', true),
    async stop(graceMs = killedAfterMs) {
      if (!running.has(one)) return;
      signalTo('SIGTERM', false);
      signalTo('SIGCONT', false);
      const hard = setTimeout(() => signalTo('SIGKILL', true), graceMs);
      await one.ended;
      clearTimeout(hard);
    },
  };
  child.once('spawn', () => running.add(one));
  child.once('exit', () => {
    running.delete(one);
    // workers that their master left behind share its group
    signalTo('SIGKILL', true);
  });
  return one;
}

/** The next message whose `state` is this one; a Problem when the process ends or says nothing in time. */
function nextMessage(one, child, { state, ms }) {
  return new Promise((resolve, reject) => {
    const fail = (why) => {
      finish();
      reject(new Problem(`${one.name} ${why} before it was ${state}.\n${one.output().trimEnd()}`));
    };
    const onMessage = (message) => {
      if (message.state !== state) return;
      finish();
      resolve(message);
    };
    const onEnd = (code, signal) => fail(`ended (${signal ?? code})`);
    const timer = setTimeout(() => fail(`was silent for ${ms} ms`), ms);
    const finish = () => {
      clearTimeout(timer);
      child.off('message', onMessage);
      child.off('exit', onEnd);
    };
    child.on('message', onMessage);
    child.once('exit', onEnd);
  });
}

function prefix(core, deathSignal) {
  const words = [];
  if (onPath('setpriv')) words.push('setpriv', '--pdeathsig', deathSignal);
  if (core !== undefined && onPath('taskset')) words.push('taskset', '-c', String(core));
  return words;
}

const found = new Map();

/** The path of a program, also of one that only root has on PATH; undefined when there is none. Remembered once found. */
export function onPath(program) {
  if (found.has(program)) return found.get(program);
  const places = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin', '/sbin'];
  const path = places
    .filter((place) => place !== '')
    .map((place) => join(place, program))
    .find((candidate) => existsSync(candidate));
  if (path !== undefined) found.set(program, path);
  return path;
}
