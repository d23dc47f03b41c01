/** A policy without a mistake. */
export const GOOD_POLICY = `version: 1
groups:
  payments: [ana, jin]
  web: [carla]
sets:
  base: [library/**, bitnami/**]
allow:
  - { id: base, pull: $base, to: authenticated }
  - { id: pay, pull: acme/pay-**, to: group:payments, private: true }
  - { id: web, pull: acme/web-shop, to: group:web, private: true }
  - { id: zoe, pull: acme/web, to: zoe, private: true, until: 2027-03-31, because: "PO-1" }
  - { id: lab, pull: library/**, to: anonymous, from: 10.40.0.0/16 }
deny:
  - { id: old, pull: library/centos, to: jin, tags: latest }
tests:
  - { who: anonymous, pull: nginx, from: 10.41.3.4, expect: deny }
...
`;

export interface PolicyMistake {
  readonly mistake: string;
  /** The text to replace in the good policy, and its replacement. */
  readonly edit: readonly [string, string];
  /** The line and column that the message names. */
  readonly at: string;
  readonly message: string;
  /**
   * The correction that the message advises: the text to replace in the bad policy, and its replacement. An
   * empty text means the end of the file.
   */
  readonly fix: readonly [string, string];
}

export const POLICY_MISTAKES: readonly PolicyMistake[] = [
  {
    mistake: 'a tab indents a line',
    edit: ['  payments: [ana', '\tpayments: [ana'],
    at: '3:1',
    message: 'a tab stands before "payments: [ana, jin]"; write 2 spaces instead',
    fix: ['\tpayments', '  payments'],
  },
  {
    mistake: 'a rule begins too far to the right',
    edit: ['  - { id: web, pull', '   - { id: web, pull'],
    at: '10:4',
    message:
      '"- { id: web, pull: acme/web-sh…" begins in column 4, and what stands above it in column 3; begin both in the same column',
    fix: ['   - { id: web', '  - { id: web'],
  },
  {
    mistake: 'a rule begins too far to the left',
    edit: ['  - { id: web, pull', ' - { id: web, pull'],
    at: '10:2',
    message:
      '"- { id: web, pull: acme/web-sh…" begins in column 2, and what stands above it in column 3; begin both in the same column',
    fix: [' - { id: web', '  - { id: web'],
  },
  {
    mistake: 'a group begins too far to the right',
    edit: ['  web: [carla', '   web: [carla'],
    at: '4:4',
    message:
      '"web: [carla]" begins in column 4, and what stands above it in column 3; begin both in the same column',
    fix: ['   web', '  web'],
  },
  {
    mistake: 'a brace is not closed',
    edit: ['to: group:web, private: true }', 'to: group:web, private: true'],
    at: '10:5',
    message: '"{" is not closed; put "}" at the end of what belongs to it',
    fix: ['to: group:web, private: true', 'to: group:web, private: true }'],
  },
  {
    mistake: 'a bracket is not closed',
    edit: ['[ana, jin]', '[ana, jin'],
    at: '3:13',
    message: '"[" is not closed; put "]" at the end of what belongs to it',
    fix: ['[ana, jin', '[ana, jin]'],
  },
  {
    mistake: 'a bracket closes nothing',
    edit: ['[ana, jin]', '[ana, jin]]'],
    at: '3:23',
    message: '"]" closes nothing here; remove it',
    fix: [']]', ']'],
  },
  {
    mistake: 'a comma is missing',
    edit: ['acme/web-shop, to', 'acme/web-shop to'],
    at: '10:36',
    message: 'a comma is missing before "to:"; if "to:" is part of a text, quote the text',
    fix: ['shop to', 'shop, to'],
  },
  {
    mistake: 'a comma too many',
    edit: ['to: zoe, private', 'to: zoe,, private'],
    at: '11:40',
    message: 'a comma too many stands here; remove it',
    fix: [',,', ','],
  },
  {
    mistake: 'a quote is not closed',
    edit: ['"PO-1"', '"PO-1'],
    at: '11:84',
    message: 'the text that begins with " here is not ended; put " behind it',
    fix: ['"PO-1', '"PO-1"'],
  },
  {
    mistake: 'a text holds a colon',
    edit: ['"PO-1"', 'see: PO-1'],
    at: '11:84',
    message: 'a text that holds ": " needs quotes around it',
    fix: ['see: PO-1', '"see: PO-1"'],
  },
  {
    mistake: 'a colon is missing',
    edit: ['groups:\n', 'groups\n'],
    at: '2:1',
    message: 'a colon is missing; write "groups:"',
    fix: ['groups\n', 'groups:\n'],
  },
  {
    mistake: 'a colon without a space',
    edit: ['pull: acme/web-shop', 'pull:acme/web-shop'],
    at: '10:16',
    message: '"pull:" and what follows it read as one key; put a space after the colon',
    fix: ['pull:acme', 'pull: acme'],
  },
  {
    mistake: 'a colon without a space before a set',
    edit: ['pull: $base', 'pull:$base'],
    at: '8:17',
    message: '"pull:" and what follows it read as one key; put a space after the colon',
    fix: ['pull:$base', 'pull: $base'],
  },
  {
    mistake: 'two colons',
    edit: ['to: zoe,', 'to:: zoe,'],
    at: '11:32',
    message: 'unknown key "…" of rule "zoe"; write "to:", a space, and then its value',
    fix: ['to:: zoe', 'to: zoe'],
  },
  {
    mistake: 'a dash without a space',
    edit: ['  - { id: web', '  -{ id: web'],
    at: '10:3',
    message: 'put a space after the "-" that begins this entry',
    fix: ['-{ id: web', '- { id: web'],
  },
  {
    mistake: 'a missing dash',
    edit: ['  - { id: web', '  { id: web'],
    at: '10:3',
    message: '"- " is missing before "{ id: web, pull: acme/web-shop…"',
    fix: ['  { id: web', '  - { id: web'],
  },
  {
    mistake: 'an unquoted wildcard',
    edit: ['pull: acme/web-shop', 'pull: **'],
    at: '10:22',
    message: '"**" reads as a YAML alias; quote patterns that begin with *',
    fix: ['pull: **', 'pull: "**"'],
  },
  {
    mistake: 'an unquoted ${user}',
    edit: ['pull: acme/web-shop', 'pull: acme/${user}/**'],
    at: '10:22',
    message: 'a text that holds "{" needs quotes: "acme/${user}/**"',
    fix: ['acme/${user}/**', '"acme/${user}/**"'],
  },
  {
    mistake: 'a merge conflict',
    edit: ['  web: [carla', '<<<<<<< HEAD\n  web: [carla'],
    at: '4:1',
    message:
      '"<<<<<<< HEAD" is left from a merge; keep the lines of one side, and remove those that begin with <<<<<<<, |||||||, ======= or >>>>>>>',
    fix: ['<<<<<<< HEAD\n', ''],
  },
  {
    mistake: 'a space that is none',
    edit: ['  - { id: web', '\u00a0 - { id: web'],
    at: '10:1',
    message:
      'a space of another kind (U+00A0) stands before "- { id: web, pull: acme/web-sh…"; write a plain space instead',
    fix: ['\u00a0', ' '],
  },
  {
    mistake: 'no last line',
    edit: ['\n...\n', '\n'],
    at: '16:1',
    message: 'the last line is not "...": the file is taken for half-written, and nothing of it is used',
    fix: ['', '...\n'],
  },
  {
    mistake: 'a key of the file stands twice',
    edit: ['deny:\n', 'allow:\n'],
    at: '13:1',
    message:
      'this key stands here twice, first at 7:1: "allow"; rename one, or write what both hold under one',
    fix: ['allow:\n  - { id: old', 'deny:\n  - { id: old'],
  },
  {
    mistake: 'a group stands twice',
    edit: ['  web: [carla', '  payments: [carla'],
    at: '4:3',
    message:
      'this key stands here twice, first at 3:3: "payments"; rename one, or write what both hold under one',
    fix: ['  payments: [carla', '  web: [carla'],
  },
  {
    mistake: 'an id stands twice',
    edit: ['id: web,', 'id: pay,'],
    at: '10:11',
    message: 'the id "pay" is taken by the rule at access.yaml:9:5; choose another',
    fix: ['id: pay, pull: acme/web', 'id: web, pull: acme/web'],
  },
  {
    mistake: 'an unknown group',
    edit: ['to: group:web', 'to: group:wbe'],
    at: '10:41',
    message: 'there is no group "wbe"; did you mean "group:web"?',
    fix: ['group:wbe', 'group:web'],
  },
  {
    mistake: 'an unknown set',
    edit: ['pull: $base', 'pull: $bsae'],
    at: '8:23',
    message: 'there is no set "bsae"; did you mean "$base"?',
    fix: ['$bsae', '$base'],
  },
  {
    mistake: 'a group without group:',
    edit: ['to: group:web', 'to: web'],
    at: '10:41',
    message:
      '"web" is the name of a group; did you mean "group:web"? Write that, or user:web for a user of that name',
    fix: ['to: web', 'to: group:web'],
  },
  {
    mistake: 'a group with @',
    edit: ['to: group:web', 'to: @web'],
    at: '10:41',
    message: '"@web" begins with "@"; write group:web for a group, or web for a user',
    fix: ['@web', 'group:web'],
  },
  {
    mistake: 'everyone',
    edit: ['to: authenticated', 'to: everyone'],
    at: '8:34',
    message:
      '"everyone" would be a user; write authenticated for everybody who has logged in, anonymous for those who have not, or user:everyone for a user of that name',
    fix: ['everyone', 'authenticated'],
  },
  {
    mistake: 'public',
    edit: ['to: authenticated', 'to: public'],
    at: '8:34',
    message:
      '"public" would be a user; write authenticated for everybody who has logged in, anonymous for those who have not, or user:public for a user of that name',
    fix: ['to: public', 'to: authenticated'],
  },
  {
    mistake: 'a group in a group',
    edit: ['  web: [carla]', '  web: [carla, group:payments]'],
    at: '4:16',
    message: '"group:payments" is a group, and a group cannot hold a group; list both in the rule\'s "to"',
    fix: [', group:payments', ''],
  },
  {
    mistake: 'a user in a path',
    edit: ['[ana, jin]', '[acme/ana, jin]'],
    at: '3:14',
    message:
      '"acme/ana" is no user name: letters, digits and _, between them also . @ + - $ and \\, at most 64',
    fix: ['acme/ana', 'ana'],
  },
  {
    mistake: 'users in one text',
    edit: ['[ana, jin]', 'ana, jin'],
    at: '3:13',
    message:
      '"ana, jin" is no user name: letters, digits and _, between them also . @ + - $ and \\, at most 64; write a list: [ana, jin]',
    fix: ['ana, jin', '[ana, jin]'],
  },
  {
    mistake: 'a key of a rule is misspelt',
    edit: ['pull: acme/web-shop', 'pul: acme/web-shop'],
    at: '10:16',
    message: 'unknown key "pul" of rule "web"; did you mean "pull"?',
    fix: ['pul:', 'pull:'],
  },
  {
    mistake: 'a key of another product',
    edit: ['until: 2027-03-31', 'expires: 2027-03-31'],
    at: '11:56',
    message: 'unknown key "expires" of rule "zoe"; did you mean "until"?',
    fix: ['expires', 'until'],
  },
  {
    mistake: 'a key of the file is misspelt',
    edit: ['\ngroups:', '\ngroup:'],
    at: '2:1',
    message: 'unknown key "group"; did you mean "groups"?',
    fix: ['\ngroup:', '\ngroups:'],
  },
  {
    mistake: 'private in a deny',
    edit: ['to: jin,', 'to: jin, private: true,'],
    at: '14:47',
    message: 'unknown key "private" of rule "old"; a deny refuses private content too, so remove it',
    fix: ['to: jin, private: true', 'to: jin'],
  },
  {
    mistake: 'no pull',
    edit: ['pull: acme/web-shop, ', ''],
    at: '10:5',
    message: '"pull" of rule "web" is missing; expected a pattern such as library/**, a $set, or everything',
    fix: ['{ id: web,', '{ id: web, pull: acme/web-shop,'],
  },
  {
    mistake: 'no truth value',
    edit: ['private: true, until', 'private: yes, until'],
    at: '11:50',
    message: 'private of rule "zoe": found "yes", expected true or false; write true',
    fix: ['yes', 'true'],
  },
  {
    mistake: 'a regular expression',
    edit: ['pull: acme/web-shop', 'pull: /^acme\\/web.*$/'],
    at: '10:22',
    message:
      '"/^acme\\/web.*$/" can match no repository: patterns are not regular expressions; write "acme/web**"',
    fix: ['/^acme\\/web.*$/', 'acme/web**'],
  },
  {
    mistake: 'half a regular expression',
    edit: ['pull: acme/web-shop', 'pull: acme/.*'],
    at: '10:22',
    message: '"acme/.*" can match no repository: patterns are not regular expressions; write "acme/**"',
    fix: ['acme/.*', 'acme/**'],
  },
  {
    mistake: 'a set of characters',
    edit: ['pull: acme/web-shop', "pull: 'acme/[a-z]*'"],
    at: '10:22',
    message:
      '"acme/[a-z]*" can match no repository: names have no "["; wildcards are *, ** and ${user}; write "acme/*"',
    fix: ['acme/[a-z]*', 'acme/*'],
  },
  {
    mistake: 'alternatives',
    edit: ['pull: acme/web-shop', "pull: 'acme/{a,b}'"],
    at: '10:22',
    message: '"acme/{a,b}" can match no repository: names have no "{"; write a list: ["acme/a", "acme/b"]',
    fix: ["'acme/{a,b}'", '["acme/a", "acme/b"]'],
  },
  {
    mistake: 'upper case',
    edit: ['pull: acme/web-shop', 'pull: Acme/Web'],
    at: '10:22',
    message: '"Acme/Web" can match no repository: names are in lower case; write "acme/web"',
    fix: ['Acme/Web', 'acme/web'],
  },
  {
    mistake: 'a scheme',
    edit: ['pull: acme/web-shop', 'pull: https://ghcr.io/acme/**'],
    at: '10:22',
    message: '"https://ghcr.io/acme/**" begins with "https://"; write "ghcr.io/acme/**"',
    fix: ['https://', ''],
  },
  {
    mistake: 'a slash at the end',
    edit: ['pull: acme/web-shop', 'pull: acme/'],
    at: '10:22',
    message: '"acme/" can match no repository: a slash stands between two parts of a name; write "acme/**"',
    fix: ['acme/,', 'acme/**,'],
  },
  {
    mistake: 'a tag in a pattern',
    edit: ['pull: acme/web-shop', "pull: 'acme/web-shop:1.0'"],
    at: '10:22',
    message: '"acme/web-shop:1.0" holds a tag; write pull: "acme/web-shop", tags: "1.0"',
    fix: ["pull: 'acme/web-shop:1.0'", 'pull: "acme/web-shop", tags: "1.0"'],
  },
  {
    mistake: 'a digest in a pattern',
    edit: ['pull: acme/web-shop', "pull: 'acme/web-shop@sha256:abcd'"],
    at: '10:22',
    message:
      '"acme/web-shop@sha256:abcd" holds a digest, and a rule is about whole repositories; write "acme/web-shop"',
    fix: ['@sha256:abcd', ''],
  },
  {
    mistake: 'all instead of everything',
    edit: ['pull: $base', 'pull: all'],
    at: '8:23',
    message: '"all" would mean the official image library/all; write everything',
    fix: ['pull: all', 'pull: everything'],
  },
  {
    mistake: 'a German date',
    edit: ['2027-03-31', '31.03.2027'],
    at: '11:63',
    message:
      'until of rule "zoe": found "31.03.2027", expected a date such as 2027-03-31: the year stands first, and month and day have two digits each',
    fix: ['31.03.2027', '2027-03-31'],
  },
  {
    mistake: 'an American date',
    edit: ['2027-03-31', '3/31/2027'],
    at: '11:63',
    message:
      'until of rule "zoe": found "3/31/2027", expected a date such as 2027-03-31: the year stands first, and month and day have two digits each',
    fix: ['3/31/2027', '2027-03-31'],
  },
  {
    mistake: 'a day that there is not',
    edit: ['2027-03-31', '2027-02-30'],
    at: '11:63',
    message:
      'until of rule "zoe": found "2027-02-30", expected a date such as 2027-02-28: there is no such day as 2027-02-30',
    fix: ['2027-02-30', '2027-02-28'],
  },
  {
    mistake: 'a time without a zone',
    edit: ['2027-03-31', '2027-03-31 18:00'],
    at: '11:63',
    message:
      'until of rule "zoe": found "2027-03-31 18:00", expected a time such as 2027-03-31T18:00:00Z: a time needs T and a zone',
    fix: ['2027-03-31 18:00', '2027-03-31T18:00:00Z'],
  },
  {
    mistake: 'a duration instead of a date',
    edit: ['2027-03-31', '90d'],
    at: '11:63',
    message: 'until of rule "zoe": found "90d", expected a date such as 2027-01-31: a duration is not a date',
    fix: ['90d', '2027-01-31'],
  },
  {
    mistake: 'a network that is too long',
    edit: ['10.40.0.0/16', '10.40.0.0/33'],
    at: '12:55',
    message:
      'from of rule "lab": found "10.40.0.0/33", expected a network such as 10.0.0.0/8: the number of bits behind the slash is at most 32',
    fix: ['/33', '/32'],
  },
  {
    mistake: 'a network mask',
    edit: ['10.40.0.0/16', '10.40.0.0/255.255.0.0'],
    at: '12:55',
    message:
      'from of rule "lab": found "10.40.0.0/255.255.0.0", expected a network such as 10.0.0.0/8: write 10.40.0.0/16',
    fix: ['255.255.0.0', '16'],
  },
  {
    mistake: 'a range of addresses',
    edit: ['10.40.0.0/16', '10.40.0.1-10.40.0.2'],
    at: '12:55',
    message:
      'from of rule "lab": found "10.40.0.1-10.40.0.2", expected a network such as 10.0.0.0/8: a range is written as a network, or as a list of networks',
    fix: ['10.40.0.1-10.40.0.2', '[10.40.0.1, 10.40.0.2]'],
  },
  {
    mistake: 'a tag that reads as a number',
    edit: ['tags: latest', 'tags: 1.10'],
    at: '14:53',
    message:
      'tags of rule "old": found 1.1, expected a tag or a pattern such as "1.*"; to mean a text, quote it: "1.10"',
    fix: ['1.10', '"1.10"'],
  },
  {
    mistake: 'another version',
    edit: ['version: 1', 'version: 2'],
    at: '1:10',
    message: 'version: found 2, expected 1, the version of this format',
    fix: ['version: 2', 'version: 1'],
  },
  {
    mistake: 'a failing test',
    edit: ['pull: nginx, from: 10.41.3.4, expect: deny', 'pull: nginx, from: 10.40.3.4, expect: deny'],
    at: '16:5',
    message: 'this test expects deny, but the rule "lab" says allow',
    fix: ['expect: deny', 'expect: allow'],
  },
];
