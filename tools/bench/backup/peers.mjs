// Who is compared? What people do by hand and by cron, and Switchyard.
import { stockPeer } from '../failover/peers.mjs';
import { backupWorks } from './works.mjs';

const works = backupWorks.map(({ name }) => name);
const redisOnly = ({ engine }) => `(Redis ${engine})`;

export const backupPeers = [
  stockPeer({
    name: 'ours',
    title: 'Switchyard',
    managed: true,
    works,
    about: ({ ownVersion: version, engine }) => `${version} (Redis ${engine})`,
  }),
  stockPeer({ name: 'by-hand', title: 'redis-cli --rdb and by hand', works, about: redisOnly }),
];
