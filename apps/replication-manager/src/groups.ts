// Which groups does this manager look after? The one of its settings, and those that were added by the API.
import type { Component } from '@switchyard/runtime';
import { createGroup, type Group, type GroupSurroundings } from './group.ts';
import type { GroupDefinition } from './group-part.ts';

/** All groups of a manager. */
export interface Groups extends Component {
  list(): readonly Group[];
  get(name: string): Group | undefined;
}

/** The groups; `main` is the one that the settings name. */
export const createGroups = (main: GroupDefinition, surroundings: GroupSurroundings): Groups => {
  const groups = new Map<string, Group>([[main.name, createGroup(main, surroundings)]]);
  return {
    name: 'groups',
    list: () => [...groups.values()],
    get: (name) => groups.get(name),
    async start(signal) {
      await Promise.all([...groups.values()].map((group) => group.start(signal)));
    },
    async stop() {
      await Promise.all([...groups.values()].map((group) => group.stop()));
    },
  };
};
