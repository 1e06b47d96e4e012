// What does an app that joins read from its environment? The same names as the services of Switchyard.
import { setting } from '@switchyard/runtime';

export const joinSettings = {
  registryUrls: setting.list({
    env: 'SWITCHYARD_REGISTRY_URL',
    default: ['http://127.0.0.1:4721'],
    maxItems: 8,
    item: /^https?:\/\/[^\s,]+$/,
    itemName: 'a URL with http: or https:',
    doc: 'Registries to register at, asked in turn.',
  }),
  advertiseHost: setting.string({
    env: 'SWITCHYARD_ADVERTISE_HOST',
    optional: true,
    maxLength: 253,
    doc: 'Host under which others reach this process; the first IPv4 address of the machine when it listens on every one.',
  }),
  instanceId: setting.string({
    env: 'SWITCHYARD_INSTANCE_ID',
    optional: true,
    maxLength: 128,
    doc: 'Id of this instance, never used again; the name of the service and random letters unless given.',
  }),
} as const;
