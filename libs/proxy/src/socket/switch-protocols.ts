// What happens when an instance agrees to switch protocols (RFC 9110 7.8)? The client gets its 101, then bytes go both ways.
import { countAnswer } from '../counters.ts';
import type { Target } from '../engine.ts';
import { Field } from '../http1/field-kind.ts';
import type { FieldSection } from '../http1/head.ts';
import { openTunnel } from '../tunnel.ts';
import { answerText } from './answer-text.ts';
import type { ClientConnection } from './client-connection.ts';
import type { UpstreamConnection } from './upstream-connection.ts';

/** An agreed switch. */
export interface Switch {
  readonly client: ClientConnection;
  readonly upstream: UpstreamConnection;
  readonly target: Target;
  readonly requestId: string;
}

/** What is wrong with a 101; undefined when it switches to what the client has asked for. */
export function switchFault(client: ClientConnection, { reader }: UpstreamConnection): string | undefined {
  const asked = protocolsOf(client.bytes, client.head.fields);
  const agreed = protocolsOf(reader.bytes, reader.head.fields);
  if (agreed.length === 0) return 'it switched protocols without saying to which one';
  return agreed.every((protocol) => asked.includes(protocol))
    ? undefined
    : 'it switched to a protocol that was not asked for';
}

/** Of the first Upgrade line, which is the one that goes on. */
function protocolsOf(bytes: Buffer, fields: FieldSection): string[] {
  if (!fields.has(Field.upgrade)) return [];
  const list = fields.value(bytes, fields.indexOf(Field.upgrade)).toLowerCase().split(',');
  return list.map((each) => each.trim()).filter((each) => each !== '');
}

/** Joins client and instance. */
export function switchProtocols({ client, upstream, target, requestId }: Switch): void {
  const { engine } = client;
  const { bytes, head } = upstream.reader;
  const { via, announceInstance, timeouts } = engine.options;
  const instance = announceInstance ? target.id : undefined;
  client.write(
    answerText({ bytes, head, form: 'none', requestId, via, date: engine.dateLine, instance, connection: 'Upgrade' }),
  );
  countAnswer(engine.counters, 101);
  const { socket, held } = client.detach();
  target.meter.tunnels += 1;
  const tunnel = openTunnel(
    { client: socket, clientEarly: held, instance: upstream.detach(), instanceEarly: bytes.subarray(head.end) },
    {
      deadlines: engine.deadlines,
      idleMs: timeouts.tunnelMs,
      halfClosedMs: timeouts.idleMs,
      closed: () => {
        target.meter.tunnels -= 1;
        engine.tunnels.delete(tunnel);
      },
    },
  );
  engine.tunnels.add(tunnel);
}
