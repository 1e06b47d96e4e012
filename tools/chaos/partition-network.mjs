// What does a network of a few machines look like that can be cut where one likes? A namespace for each machine, joined by a bridge in
// a namespace of its own: nothing of it is seen outside, and nothing outside is reached from it.
import { spawnSync } from 'node:child_process';

const subnet = '10.213.77';

/** Why no namespaces can be made here, with what to do; undefined when they can. */
export function whyNoNamespaces() {
  if (process.platform !== 'linux') return 'network namespaces are a thing of Linux: run it there, or in a container';
  if (process.getuid?.() !== 0) return 'network namespaces need root: run it with sudo';
  for (const [command, where] of [
    ['ip', 'iproute2'],
    ['iptables', 'iptables'],
  ]) {
    if (spawnSync(command, ['--version']).error) return `there is no ${command}: apt-get install ${where}`;
  }
  const name = `swt${process.pid}`;
  const made = spawnSync('ip', ['netns', 'add', name], { encoding: 'utf8' });
  spawnSync('ip', ['netns', 'del', name]);
  if (made.status === 0) return undefined;
  return `this kernel or container makes no namespaces (${made.stderr.trim()}): run it with CAP_SYS_ADMIN and CAP_NET_ADMIN`;
}

/**
 * The network of these machines. `id` makes the names its own. `addressOf` and `inside` (words to put before a command) know machines
 * by name; `cut` drops what one sends to another, `mend` ends all cuts. `create` and `remove` make it and take it away (processes in
 * it have to be ended before); the rest also works from inside one of the namespaces.
 */
export function networkOf(machines, id) {
  const bridgeSpace = `sw${id}bridge`;
  const spaceOf = (machine) => {
    if (!machines.includes(machine)) throw new Error(`there is no machine ${machine}`);
    return `sw${id}${machine}`;
  };
  const addressOf = (machine) => `${subnet}.${machines.indexOf(machine) + 1}`;
  const inside = (machine) => ['ip', 'netns', 'exec', spaceOf(machine)];
  const cut = (from, to) => must(...inside(to), 'iptables', '-A', 'INPUT', '-s', addressOf(from), '-j', 'DROP');
  const remove = () => {
    for (const name of [...machines.map(spaceOf), bridgeSpace]) spawnSync('ip', ['netns', 'del', name]);
  };
  const join = (machine, at) => {
    const space = spaceOf(machine);
    const port = `p${at}`;
    must('ip', 'netns', 'add', space);
    // made inside, so that not even for a moment anything is added to the network of this system
    must('ip', '-n', bridgeSpace, 'link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', space);
    must('ip', '-n', bridgeSpace, 'link', 'set', port, 'master', 'br0');
    must('ip', '-n', bridgeSpace, 'link', 'set', port, 'up');
    must('ip', '-n', space, 'addr', 'add', `${addressOf(machine)}/24`, 'dev', 'eth0');
    must('ip', '-n', space, 'link', 'set', 'eth0', 'up');
    must('ip', '-n', space, 'link', 'set', 'lo', 'up');
  };
  return {
    addressOf,
    inside,
    cut,
    /** Nothing passes between these two sides. */
    split(one, other) {
      for (const near of one) {
        for (const far of other) {
          cut(near, far);
          cut(far, near);
        }
      }
    },
    mend() {
      for (const machine of machines) must(...inside(machine), 'iptables', '-F', 'INPUT');
    },
    create() {
      try {
        must('ip', 'netns', 'add', bridgeSpace);
        must('ip', '-n', bridgeSpace, 'link', 'add', 'br0', 'type', 'bridge');
        must('ip', '-n', bridgeSpace, 'link', 'set', 'br0', 'up');
        machines.forEach(join);
      } catch (error) {
        remove();
        throw error;
      }
    },
    remove,
  };
}

function must(command, ...words) {
  const { status, stderr, error } = spawnSync(command, words, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${words.join(' ')}: ${error?.message ?? stderr.trim()}`);
}
