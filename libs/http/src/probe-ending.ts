// What can a probe find out, whichever way it asks?
import type { Instance } from '@switchyard/protocol';

/** How a probe ended. `answered`: the instance itself; `other`: its address answers as somebody else. */
export interface ProbeEnd {
  readonly kind: 'http' | 'tcp' | 'grpc';
  readonly outcome: 'answered' | 'refused' | 'timeout' | 'failed' | 'other';
  readonly tookMs: number;
  /** For people, about the instance: "its address refuses connections". */
  readonly detail: string;
  /** True when its application said something, be it that it is not well; the kernel alone may say that a port is open. */
  readonly heard: boolean;
}

export type Ending = Pick<ProbeEnd, 'outcome' | 'detail'> & { readonly heard?: boolean };

/** What is asked, and who hears the end: once is enough, later calls count for nothing. */
export interface Question {
  readonly instance: Instance;
  /** With the path of the check. */
  readonly url: URL;
  readonly end: (ending: Ending) => void;
}

/** A question under way. Destroying it frees everything that it holds. */
export interface Asking {
  destroy(): unknown;
}

/** What the failure of a connection says. */
export const faultOf = (error: NodeJS.ErrnoException): Ending =>
  error.code === 'ECONNREFUSED'
    ? { outcome: 'refused', detail: 'its address refuses connections' }
    : { outcome: 'failed', detail: `its address cannot be reached: ${error.code ?? error.message}` };

/** Says so when the answer names somebody else. `claimed`: its header `Switchyard-Instance`. */
export function impostor(instance: Instance, claimed: unknown): Ending | undefined {
  if (typeof claimed !== 'string' || claimed === instance.id) return undefined;
  return { outcome: 'other', detail: `its address answers as ${claimed.slice(0, 128)}` };
}
