// Who says which role an instance has? Its owner in an ordinary service; in an active/standby one only an activation.
import { activationSchema } from '@switchyard/protocol';
import type { Activation, Instance, ServicePolicy, StoredInstance } from '@switchyard/protocol';
import type { Versioned } from './setting-transitions.ts';

type RoleFields = Pick<StoredInstance, 'role' | 'declaredRole' | 'fencingToken'>;

/** Roles are given by activation. */
export const isGoverned = (settings: Versioned<ServicePolicy> | undefined): settings is Versioned<ServicePolicy> =>
  settings?.document.mode === 'active-standby';

/** The latest activation, which is stored beside the policy. */
export function activationOf(settings: Versioned<ServicePolicy> | undefined): Activation | undefined {
  const stored = (settings?.document as { readonly activation?: unknown } | undefined)?.activation;
  if (stored === undefined) return undefined;
  const parsed = activationSchema.safeParse(stored);
  return parsed.success ? parsed.data : undefined;
}

/** A stored policy as its owner gave it. */
export function policyAlone(document: ServicePolicy): ServicePolicy {
  const { activation: _activation, ...policy } = document as ServicePolicy & { readonly activation?: unknown };
  return policy;
}

/** True when the instance has the role and the token of this activation. */
export const isHolder = ({ id, role, fencingToken }: Instance, activation: Activation): boolean =>
  role === 'active' && id === activation.id && fencingToken === activation.fencingToken;

/** The instance with a role that was given to it. What its owner declared is kept beside. */
export function givenRole(
  { revision: _revision, role, declaredRole, fencingToken: _token, ...rest }: Instance,
  given: { readonly role: 'active' | 'standby'; readonly fencingToken?: number },
): StoredInstance {
  return { ...rest, ...given, declaredRole: declaredRole ?? role };
}

/** The role after a registration: whoever was dead, or is new, begins as a standby without a token. */
export function roleAfterRegistration(
  settings: Versioned<ServicePolicy> | undefined,
  current: Instance | undefined,
  declaredRole: StoredInstance['role'],
): RoleFields {
  if (!isGoverned(settings)) return { role: declaredRole };
  const activation = activationOf(settings);
  if (current && current.liveness !== 'dead' && activation && isHolder(current, activation)) {
    return { role: 'active', declaredRole, fencingToken: activation.fencingToken };
  }
  return { role: 'standby', declaredRole };
}

/** The instance with the role that the mode of its service calls for; undefined when it has it, or is dead. */
export function rightedRole(
  settings: Versioned<ServicePolicy> | undefined,
  instance: Instance,
): StoredInstance | undefined {
  if (instance.liveness === 'dead') return undefined;
  if (!isGoverned(settings)) {
    if (instance.declaredRole === undefined && instance.fencingToken === undefined) return undefined;
    const { revision: _revision, declaredRole, fencingToken: _token, ...rest } = instance;
    return { ...rest, role: declaredRole ?? instance.role };
  }
  const activation = activationOf(settings);
  // before the first activation everybody is what he declared; it changes all of them at once
  if (!activation || instance.role === 'standby' || isHolder(instance, activation)) return undefined;
  return givenRole(instance, { role: 'standby' });
}
