// What do the other dispatchers know? Asked of each over HTTP, at the address it has told, within half a second altogether.
import type { DispatcherBoard } from '@switchyard/redis';
import { withDeadline } from '@switchyard/runtime';
import { DISPATCHER_STALE_MS } from '@switchyard/protocol';

/** Who carries this header was asked by another dispatcher, and answers from its own knowledge alone. */
export const askedByHeader = 'switchyard-asked-by';

/** What the others said, and what prevented more. */
export interface PeerAnswers {
  /** Bodies of 200, decoded from JSON only. */
  readonly answers: readonly { readonly id: string; readonly body: unknown }[];
  /** How many have answered, those included that know nothing. */
  readonly asked: number;
  /** Sentences for people; empty when everybody has answered. */
  readonly problems: readonly string[];
}

export interface FleetPeers {
  /** Asks all others for `path`; never rejects. */
  ask(path: string): Promise<PeerAnswers>;
}

interface Peer {
  readonly id: string;
  readonly url: string;
}

const listDeadlineMs = 300;
const askDeadlineMs = 500;
const mostPeers = 16;
const longestAnswerBytes = 2 * 1024 * 1024;

/** The others as the board knows them; as it knew them last while Redis is away. Workers that share an address are one. */
export function createFleetPeers(options: {
  readonly id: string;
  /** Where this one is reached itself. */
  readonly url: string;
  readonly board: Pick<DispatcherBoard, 'states'>;
}): FleetPeers {
  const { id, url: own, board } = options;
  let known: readonly Peer[] | undefined;

  const peers = async (): Promise<{ readonly peers: readonly Peer[]; readonly problems: readonly string[] }> => {
    try {
      const heard = await withDeadline(board.states(), listDeadlineMs, 'the list of dispatchers');
      const byUrl = new Map<string, Peer>();
      for (const { id: peer, ageMs, told } of heard) {
        const url = told?.url;
        if (url && peer !== id && url !== own && ageMs < DISPATCHER_STALE_MS) byUrl.set(url, { id: peer, url });
      }
      known = [...byUrl.values()];
    } catch {
      return { peers: known ?? [], problems: [known ? listIsOld : othersUnknown] };
    }
    const left = known.length - mostPeers;
    return { peers: known, problems: left > 0 ? [`${left} other dispatchers were not asked`] : [] };
  };

  const askOne = async (peer: Peer, path: string, signal: AbortSignal): Promise<unknown> => {
    const response = await fetch(new URL(path, peer.url), {
      headers: { [askedByHeader]: id, accept: 'application/json' },
      redirect: 'error',
      signal,
    });
    const text = await textOf(response);
    if (response.status === 404) return undefined;
    if (!response.ok) throw new Error(`it answered ${response.status}`);
    return JSON.parse(text) as unknown;
  };

  return {
    async ask(path) {
      const { peers: all, problems: before } = await peers();
      const signal = AbortSignal.timeout(askDeadlineMs);
      const problems = [...before];
      const answers: { id: string; body: unknown }[] = [];
      let asked = 0;
      await Promise.all(
        all.slice(0, mostPeers).map(async (peer) => {
          try {
            const body = await askOne(peer, path, signal);
            asked += 1;
            if (body !== undefined) answers.push({ id: peer.id, body });
          } catch (error) {
            problems.push(`${peer.id} was asked at ${peer.url} and gave no answer: ${reasonOf(error)}`);
          }
        }),
      );
      return { answers, asked, problems };
    },
  };
}

const othersUnknown = 'Redis cannot be asked: other dispatchers are not known';
const listIsOld = 'Redis cannot be asked: only those other dispatchers were asked that were known before';

async function textOf(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    const part = chunk as Uint8Array;
    if ((bytes += part.length) > longestAnswerBytes) throw new Error(`it sent more than ${longestAnswerBytes} bytes`);
    chunks.push(part);
  }
  return Buffer.concat(chunks).toString();
}

/** fetch hides the reason ("connect ECONNREFUSED ...") in the cause. */
function reasonOf(error: unknown): string {
  const { cause, message } = error as { readonly cause?: { readonly message?: string }; readonly message?: string };
  return (cause?.message || message || String(error)).slice(0, 200);
}
