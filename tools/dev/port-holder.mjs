// Who has this port? Answered from /proc where there is one; a courtesy, so it never fails and never waits.
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';

/** "program and first words, pid 123" of the listener, or undefined when that cannot be found out. */
export function portHolder(port) {
  try {
    const inodes = new Set(['/proc/net/tcp', '/proc/net/tcp6'].flatMap((file) => listeningInodes(file, port)));
    if (inodes.size === 0) return undefined;
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      if (!holdsSocket(pid, inodes)) continue;
      return `${commandOf(pid)}, pid ${pid}`;
    }
  } catch {
    // Another system, or a process that ended meanwhile.
  }
  return undefined;
}

function listeningInodes(file, port) {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return readFileSync(file, 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] === '0A' && fields[1]?.endsWith(suffix))
    .map((fields) => fields[9]);
}

function holdsSocket(pid, inodes) {
  let descriptors;
  try {
    descriptors = readdirSync(`/proc/${pid}/fd`);
  } catch {
    return false;
  }
  return descriptors.some((descriptor) => {
    try {
      const target = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${descriptor}`));
      return target !== null && inodes.has(target[1]);
    } catch {
      return false;
    }
  });
}

function commandOf(pid) {
  const [program = '?', ...words] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  // one line, whatever the program was given
  return [basename(program), ...words].join(' ').replace(/\s+/g, ' ').trim().slice(0, 80);
}
