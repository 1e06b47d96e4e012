// A web app to try Switchyard with: it says which instance answered, registers itself, and leaves without losing a request.
import { createApi, httpServer } from '@switchyard/http';
import { loadConfig, runService } from '@switchyard/runtime';
import type { Component } from '@switchyard/runtime';
import { createDemoApp } from './app.ts';
import { demoSettings } from './config.ts';
import { createRegistration } from './registration.ts';

await runService('demo-backend', (context) => {
  const { env, logger, instanceId: id, version, health, metrics, clock } = context;
  const config = loadConfig(demoSettings, { env, app: 'DEMO', logger });
  const { service, zone } = config;

  const platform = createApi({ title: 'Switchyard demo-backend', version, routes: [], health, metrics, logger });
  const app = createDemoApp({ service, id, zone, version, clock, metrics, logger, platform });
  const server = httpServer({ name: 'http', host: config.host, port: config.port, app, drainMs: 10_000 });
  const registration = createRegistration({ context, config, port: () => server.address().port });

  // The listener stops without a drain of its own: all parts drain at the same time, and until the registration has
  // left, dispatchers still send requests here.
  const listener: Component = {
    name: server.name,
    start: async () => {
      await server.start();
      const { host, port } = server.address();
      logger.info({ host, port }, 'demo.listening');
    },
    stop: () => server.stop(),
    stopDeadlineMs: 11_000,
  };
  return [listener, registration];
});
