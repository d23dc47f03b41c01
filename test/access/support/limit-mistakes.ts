import type { PolicyMistake } from './policy-mistakes.ts';

/** A policy with limits and without a mistake. */
export const GOOD_LIMITS = `version: 1
groups:
  ci: [ci-app, ci-pay]
  prod: ["cert:prod-*"]
allow:
  - { id: base, pull: library/**, to: [authenticated, anonymous] }
limits:
  - { id: ci, to: group:ci, pulls: 60/6h, bytes: 50GiB/24h, because: "CI's share" }
  - { id: each, to: authenticated, each: true, except: group:prod, upstream: docker.io, pulls: 40/6h }
reserve:
  - { id: prod, upstream: docker.io, keep: 20%, for: group:prod }
  - { id: other, upstream: docker.io, keep: 12.5%, for: ci-pay }
tests:
  - { who: ci-app, pull: nginx, expect: allow, limits: [ci, each] }
  - { who: "cert:prod-1", pull: nginx, expect: allow, limits: [], reserve: prod }
...
`;

const PULLS = 'a number of pulls in a window, such as 40/6h';
const BYTES = 'a size in a window, such as 50GiB/24h';
const SHARE = 'a share such as 20%';

/** A mistake in `pulls` of the limit `ci`, with the correction that the message advises. */
function pulls(mistake: string, written: string, message: string, right: string): PolicyMistake {
  return {
    mistake,
    edit: ['pulls: 60/6h', `pulls: ${written}`],
    at: '8:36',
    message: `pulls of limit "ci": found ${message}`,
    fix: [`pulls: ${written}`, `pulls: ${right}`],
  };
}

function bytes(mistake: string, written: string, right: string): PolicyMistake {
  return {
    mistake,
    edit: ['50GiB/24h', written],
    at: '8:50',
    message: `bytes of limit "ci": found "${written}", expected ${BYTES}; write ${right}`,
    fix: [written, right],
  };
}

function keep(mistake: string, written: string, message: string, right: string): PolicyMistake {
  return {
    mistake,
    edit: ['keep: 20%', `keep: ${written}`],
    at: '11:44',
    message: `keep of reserve "prod": found ${message}`,
    fix: [`keep: ${written}`, `keep: ${right}`],
  };
}

/** A key that people write instead of one that exists. */
function key(written: string, at: string, of: string, right: string): PolicyMistake {
  return {
    mistake: `${written} for ${right}`,
    edit: [right, written],
    at,
    message: `unknown key "${written.split(':')[0]}"${of}; did you mean "${right.split(':')[0]}"?`,
    fix: [written, right],
  };
}

function upstream(written: string, at: string, message: string, right: string): PolicyMistake {
  return {
    mistake: `the upstream is written ${written}`,
    edit: ['upstream: docker.io, pulls', `upstream: ${written}, pulls`],
    at,
    message,
    fix: [written, right],
  };
}

export const LIMIT_MISTAKES: readonly PolicyMistake[] = [
  pulls('a number without a window', '60', `60, expected ${PULLS}; write 60/24h`, '60/24h'),
  pulls('a window without a unit', '60/6', `"60/6", expected ${PULLS}; write 60/6h`, '60/6h'),
  pulls('no pulls at all', '0/6h', `"0/6h", expected ${PULLS}: it is at least 1`, '1/6h'),
  pulls(
    'a window of seconds',
    '60/30s',
    `"60/30s", expected ${PULLS}: a window lasts at least 1m and at most 31d; write one such as 24h`,
    '60/24h',
  ),
  pulls(
    'a window of no time',
    '60/0m',
    `"60/0m", expected ${PULLS}: a window lasts at least 1m and at most 31d; write one such as 24h`,
    '60/24h',
  ),
  pulls(
    'a window of more than a month',
    '60/32d',
    `"60/32d", expected ${PULLS}: a window lasts at least 1m and at most 31d; write one such as 24h`,
    '60/24h',
  ),
  pulls('blanks', '60 / 6h', `"60 / 6h", expected ${PULLS}; write 60/6h`, '60/6h'),
  pulls('a unit in full', '60/6 hours', `"60/6 hours", expected ${PULLS}; write 60/6h`, '60/6h'),
  pulls('the word per', '60 per day', `"60 per day", expected ${PULLS}; write 60/24h`, '60/24h'),
  pulls('a week', '60/1w', `"60/1w", expected ${PULLS}; write 60/7d`, '60/7d'),
  pulls('a thousands separator', '1_000/24h', `"1_000/24h", expected ${PULLS}; write 1000/24h`, '1000/24h'),
  pulls('the window first', '6h/60', `"6h/60", expected ${PULLS}; write 60/6h`, '60/6h'),
  pulls('a fraction', '1.5/6h', `"1.5/6h", expected ${PULLS}`, '2/6h'),
  pulls('a negative number', '-1/6h', `"-1/6h", expected ${PULLS}`, '1/6h'),
  pulls('a list', '[60/6h]', `a list, expected ${PULLS}`, '60/6h'),
  bytes('a decimal unit', '50GB/24h', '50GiB/24h'),
  bytes('a unit in short', '50G/24h', '50GiB/24h'),
  bytes('a size without a unit', '50/24h', '50GiB/24h'),
  bytes('a size without a window', '50GiB', '50GiB/24h'),
  bytes('a size in lower case', '50 gib/1d', '50GiB/1d'),
  {
    mistake: 'a limit without an amount',
    edit: ['pulls: 60/6h, bytes: 50GiB/24h, ', ''],
    at: '8:5',
    message: 'the limit "ci" limits nothing; add pulls: 40/6h, or bytes: 50GiB/24h',
    fix: ['because: "CI', 'pulls: 40/6h, because: "CI'],
  },
  {
    mistake: 'the id of another limit',
    edit: ['id: each', 'id: ci'],
    at: '9:11',
    message: 'the id "ci" is taken by the limit at access.yaml:8:5; choose another',
    fix: ['id: ci, to: authenticated', 'id: each, to: authenticated'],
  },
  {
    mistake: 'the id of a rule',
    edit: ['id: each', 'id: base'],
    at: '9:11',
    message: 'the id "base" is taken by the rule at access.yaml:6:5; choose another',
    fix: ['id: base, to: authenticated', 'id: each, to: authenticated'],
  },
  {
    mistake: 'the id of a limit for a reserve',
    edit: ['id: other', 'id: ci'],
    at: '12:11',
    message: 'the id "ci" is taken by the limit at access.yaml:8:5; choose another',
    fix: ['id: ci, upstream', 'id: other, upstream'],
  },
  {
    mistake: 'a limit without an id',
    edit: ['id: ci, ', ''],
    at: '8:5',
    message: '"id" of entry 1 of limits is missing; expected a name',
    fix: ['to: group:ci', 'id: ci, to: group:ci'],
  },
  {
    mistake: 'a limit without subjects',
    edit: ['to: group:ci, ', ''],
    at: '8:5',
    message:
      '"to" of limit "ci" is missing; expected a user, group:…, cert:…, oidc:…, authenticated or anonymous',
    fix: ['id: ci,', 'id: ci, to: group:ci,'],
  },
  {
    mistake: 'an unknown group in to',
    edit: ['to: group:ci', 'to: group:cii'],
    at: '8:19',
    message: 'there is no group "cii"; did you mean "group:ci"?',
    fix: ['group:cii', 'group:ci'],
  },
  {
    mistake: 'an unknown group in except',
    edit: ['except: group:prod', 'except: group:pord'],
    at: '9:56',
    message: 'there is no group "pord"; did you mean "group:prod"?',
    fix: ['group:pord', 'group:prod'],
  },
  {
    mistake: 'an unknown group in for',
    edit: ['for: group:prod', 'for: [group:pord]'],
    at: '11:55',
    message: 'there is no group "pord"; did you mean "group:prod"?',
    fix: ['group:pord', 'group:prod'],
  },
  {
    mistake: 'a group without its prefix',
    edit: ['to: group:ci', 'to: ci'],
    at: '8:19',
    message:
      '"ci" is the name of a group; did you mean "group:ci"? Write that, or user:ci for a user of that name',
    fix: ['to: ci', 'to: group:ci'],
  },
  ...[
    ['except: authenticated', 'to: authenticated, each: true, except: group:prod', '9:36'],
    ['except: group:ci', 'to: group:ci', '8:29'],
    ['except: [ci-pay, ci-app]', 'to: group:ci', '8:29'],
  ].map(([except = '', to = '', at = '']): PolicyMistake => {
    const whom = to.replace(/, .*/, '');
    const id = whom === 'to: group:ci' ? 'ci' : 'each';
    return {
      mistake: `"${except}" takes out everybody of "${whom}"`,
      edit: [to, `${whom}, ${except}`],
      at: at.replace(/\d+$/, (column) => String(Number(column) + 'except: '.length)),
      message: `the limit "${id}" is for nobody, because "except" has everybody whom "to" has; remove "except", or the limit`,
      fix: [`, ${except}`, id === 'each' ? ', except: group:prod' : ''],
    };
  }),
  upstream(
    'index.docker.io',
    '9:78',
    '"index.docker.io" is another name of docker.io; write docker.io',
    'docker.io',
  ),
  upstream('dockerhub', '9:78', '"dockerhub" is no name of an upstream; write docker.io', 'docker.io'),
  upstream('"https://docker.io/"', '9:78', '"https://docker.io/" is no host; write docker.io', 'docker.io'),
  upstream(
    'ghcr',
    '9:78',
    '"ghcr" is no host; write the host of an upstream in full, such as docker.io',
    'docker.io',
  ),
  {
    mistake: 'an alias of Docker Hub in a reserve',
    edit: ['id: prod, upstream: docker.io', 'id: prod, upstream: registry-1.docker.io'],
    at: '11:27',
    message: '"registry-1.docker.io" is another name of docker.io; write docker.io',
    fix: ['registry-1.docker.io', 'docker.io'],
  },
  {
    mistake: 'a reserve without an upstream',
    edit: ['id: prod, upstream: docker.io', 'id: prod'],
    at: '11:5',
    message: '"upstream" of reserve "prod" is missing; expected the host of an upstream, such as docker.io',
    fix: ['id: prod', 'id: prod, upstream: docker.io'],
  },
  keep('a share without %', '20', `20, expected ${SHARE}; write 20%`, '20%'),
  keep('a share as a fraction', '0.2', `0.2, expected ${SHARE}; write 20%`, '20%'),
  keep('a share with a blank', '20 %', `"20 %", expected ${SHARE}; write 20%`, '20%'),
  keep('more than all', '120%', `"120%", expected ${SHARE}: it is at most 100%`, '80%'),
  keep('nothing', '0%', `"0%", expected ${SHARE}: it is more than 0%`, '1%'),
  keep('an amount', '20/6h', `"20/6h", expected ${SHARE}`, '20%'),
  {
    mistake: 'more than all together',
    edit: ['12.5%', '80.5%'],
    at: '12:45',
    message:
      'all reserves of docker.io together keep 100.5%, which is more than there is; write at most 80%, or lower another share',
    fix: ['80.5%', '80%'],
  },
  {
    mistake: 'a reserve of nothing that remains',
    edit: ['keep: 20%', 'keep: 100%'],
    at: '12:45',
    message:
      'all reserves of docker.io together keep 112.5%, which is more than there is; lower another share, or remove this',
    fix: ['keep: 100%', 'keep: 87.5%'],
  },
  key('limit:', '7:1', '', 'limits:'),
  key('quota:', '7:1', '', 'limits:'),
  key('rateLimits:', '7:1', '', 'limits:'),
  key('reserved:', '10:1', '', 'reserve:'),
  key('max: 60/6h', '8:29', ' of limit "ci"', 'pulls: 60/6h'),
  key('limit: 60/6h', '8:29', ' of limit "ci"', 'pulls: 60/6h'),
  key('rate: 60/6h', '8:29', ' of limit "ci"', 'pulls: 60/6h'),
  key('size: 50GiB/24h', '8:43', ' of limit "ci"', 'bytes: 50GiB/24h'),
  key('group: group:ci', '8:15', ' of limit "ci"', 'to: group:ci'),
  key('exempt: group:prod', '9:48', ' of limit "each"', 'except: group:prod'),
  key('share: 20%', '11:38', ' of reserve "prod"', 'keep: 20%'),
  key('to: group:prod', '11:49', ' of reserve "prod"', 'for: group:prod'),
  {
    mistake: 'a key for each subject',
    edit: ['each: true', 'per: user'],
    at: '9:36',
    message: 'unknown key "per" of limit "each"; write "each: true" to give each subject this much',
    fix: ['per: user', 'each: true'],
  },
  {
    mistake: 'a key for the window',
    edit: ['pulls: 60/6h', 'pulls: 60/6h, window: 6h'],
    at: '8:43',
    message: 'unknown key "window" of limit "ci"; the window is part of the amount: pulls: 40/6h',
    fix: [', window: 6h', ''],
  },
  {
    mistake: 'a limit of some repositories',
    edit: ['to: group:ci', 'to: group:ci, pull: library/**'],
    at: '8:29',
    message: 'unknown key "pull" of limit "ci"; a limit counts the pulls of all repositories, so remove it',
    fix: ['group:ci, pull: library/**', 'group:ci'],
  },
  {
    mistake: 'another word for true',
    edit: ['each: true', 'each: yes'],
    at: '9:42',
    message: 'each of limit "each": found "yes", expected true or false; write true',
    fix: ['each: yes', 'each: true'],
  },
  {
    mistake: 'a test of other limits',
    edit: ['limits: [ci, each]', 'limits: [ci]'],
    at: '14:5',
    message: 'this test expects limits: [ci], but it is [ci, each]',
    fix: ['limits: [ci]', 'limits: [ci, each]'],
  },
  {
    mistake: 'a test of other reserves',
    edit: ['reserve: prod', 'reserve: []'],
    at: '15:5',
    message: 'this test expects reserve: [], but it is [prod]',
    fix: ['reserve: []', 'reserve: prod'],
  },
  {
    mistake: 'a test of an unknown limit',
    edit: ['limits: [ci, each]', 'limits: [ci, eech]'],
    at: '14:61',
    message: 'there is no limit "eech"; did you mean "each"?',
    fix: ['eech', 'each'],
  },
  {
    mistake: 'a test of the limits of a pull that is denied',
    edit: ['expect: allow, limits: [ci, each]', 'expect: deny, limits: [ci, each]'],
    at: '14:55',
    message: 'a pull that is denied counts toward no limit; remove "limits" and "reserve"',
    fix: ['expect: deny', 'expect: allow'],
  },
];
