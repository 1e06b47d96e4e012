// Who of those that were named does not answer, or not to us, and what helps?
import { addressKey } from './address.ts';
import {
  advised,
  refused,
  warned,
  type AdmissionInput,
  type AdmissionProblem,
  type Surveyed,
} from './admission-survey.ts';

/** Problems of reaching and of being let in. */
export const reachProblems = ({ input, survey }: AdmissionInput): readonly AdmissionProblem[] => {
  const given = survey.surveyed.filter((one) => one.given !== null);
  const away = given.filter((one) => one.failure !== null && !isDenied(one));
  const denied = survey.surveyed.filter((one) => one.failure !== null && isDenied(one) && one.given !== null);
  const seeds = given.filter((one) => one.given === 'seed');
  const awaySeeds = away.filter((one) => one.given === 'seed');
  // Half of them may be gone because the network between is: what the other half says would then not be the group's word.
  const tooMany = 2 * awaySeeds.length >= seeds.length && awaySeeds.length > 0;
  return [
    ...denied.map((one) => deniedProblem(one, input.username)),
    ...away.map((one) => awayProblem(one, tooMany && one.given === 'seed', input.tls)),
    ...survey.surveyed.flatMap((one) => lackProblems(one, input.manage === 'manage')),
  ];
};

const isDenied = ({ failure }: Surveyed): boolean => failure?.kind === 'refused';

const deniedProblem = (one: Surveyed, username: string | undefined): AdmissionProblem => {
  const at = addressKey(one);
  const said = one.failure?.detail ?? '';
  const isGivenAsSentinel = one.given === 'sentinel';
  const field = isGivenAsSentinel ? 'sentinelPassword' : 'password';
  if (said.startsWith('WRONGPASS')) {
    const who = username === undefined || isGivenAsSentinel ? 'the password' : `the password of the user ${username}`;
    return refused(
      'wrong_password',
      `${at} refuses ${who}, or the user is off there`,
      `correct ${isGivenAsSentinel ? field : 'username and password'}; ACL GETUSER at ${at} shows whether the user is on`,
    );
  }
  if (said.startsWith('NOAUTH')) {
    return refused('password_needed', `${at} wants a password and none was given`, `give ${field} in the document`);
  }
  if (said.startsWith('NOPERM')) {
    const command = /'([^']+)'/.exec(said)?.[1] ?? 'info';
    return refused(
      'no_permission',
      `the user ${username ?? 'default'} may not run ${command.toUpperCase()} at ${at}`,
      `ACL SETUSER ${username ?? 'default'} +${command.replace(' ', '|')} there; docs/redis.md lists what is needed`,
    );
  }
  if (said.includes('protected mode')) {
    const next = 'set a password there, or bind it to an address of a private network with protected-mode no';
    return refused('protected_mode', `${at} is in protected mode and answers only its own machine`, next);
  }
  if (/^(LOADING|BUSY|MASTERDOWN)/.test(said)) {
    return warned('not_ready', `${at} answers ${said.slice(0, 80)}`, 'wait until it has finished');
  }
  return refused('refuses', `${at} refuses to answer: ${said.slice(0, 120)}`, 'mend what it names, then send it again');
};

const awayProblem = (one: Surveyed, grave: boolean, tls: boolean): AdmissionProblem => {
  const at = addressKey(one);
  const said = one.failure?.detail ?? '';
  if (one.speaks === 'plain') {
    return refused(
      'tls_mismatch',
      `${at} does not speak TLS, and TLS was asked for`,
      'give its TLS port, or "tls": false',
    );
  }
  if (one.speaks === 'tls') {
    return refused(
      'tls_mismatch',
      `${at} speaks TLS, and plain text was asked for`,
      'give "tls": true, or its plain port',
    );
  }
  const make = grave ? refused : warned;
  if (/certificate|altname/i.test(said)) {
    const next = 'give this process the authority with NODE_EXTRA_CA_CERTS, and use the name in the certificate';
    return refused('certificate_refused', `the certificate of ${at} is not trusted: ${said.slice(0, 120)}`, next);
  }
  if (/ENOTFOUND|EAI_AGAIN|getaddrinfo/.test(said)) {
    const next = 'correct the name, or give a fixed address: a name that leaves DNS blocks failovers';
    return make('name_unknown', `the name ${one.host} of ${at} is not known to DNS`, next);
  }
  if (/ECONNREFUSED/.test(said)) {
    const next = 'start it, correct the port, or take it out of the document';
    return make('unreachable', `${at} refuses connections: nothing listens there`, next);
  }
  if (/EHOSTUNREACH|ENETUNREACH/.test(said)) {
    return make('unreachable', `there is no way to ${at}: ${said.slice(0, 80)}`, 'check address, routes, and network');
  }
  if (one.failure?.kind === 'gone') {
    const next = tls
      ? 'check that this is its TLS port'
      : 'check that it is a Redis; if it speaks TLS, give "tls": true';
    return make('unreachable', `${at} closes connections: ${said.slice(0, 80)}`, next);
  }
  const next = 'check firewall and address; a process that hangs has to be restarted';
  return make('unreachable', `${at} does not answer in time: ${said.slice(0, 80)}`, next);
};

const lackProblems = (one: Surveyed, manage: boolean): readonly AdmissionProblem[] =>
  one.lacks.length === 0 || !manage
    ? []
    : [
        advised(
          'no_permission',
          `the user may not run ${one.lacks.join(', ')} at ${addressKey(one)}: work that needs it will be refused`,
          `give it ${one.lacks.map((command) => `+${command.toLowerCase()}`).join(' ')} with ACL SETUSER`,
        ),
      ];
