// Which version is this, and which one answers?
import { readFileSync } from 'node:fs';
import type { Command } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';
import { Failure } from '../failure.ts';

const deadlineMs = 3_000;

/** `version`: works without a server, too. */
export const versionCommand: Command = {
  words: ['version'],
  summary: 'Version of this program, and of the Switchyard that answers',
  run: async ({ api, output, signal }) => {
    const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
      version: string;
    };
    let server: string | null = null;
    let problem: string | null = null;
    try {
      const both = AbortSignal.any([signal, AbortSignal.timeout(deadlineMs)]);
      const document = await api.ask({ path: '/v1/openapi.json', signal: both });
      server = (document as { info?: { version?: string } } | undefined)?.info?.version ?? null;
    } catch (error) {
      if (signal.aborted) throw error;
      problem = error instanceof Failure ? error.message : 'It did not answer in time.';
    }
    const version = { cli: manifest.version, node: process.versions.node, url: api.url, server, problem };
    output.print(version, ({ cli, node, url }) => {
      return `switchyard ${cli} (Node ${node})\n${url}: ${server ?? problem ?? 'says no version'}\n`;
    });
    return exitCodes.ok;
  },
};
