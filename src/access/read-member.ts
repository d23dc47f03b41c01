import type { PartReader } from '../platform/yaml/yaml-schema.ts';
import { type SubjectForms, whyNoFederatedPattern } from './federated-pattern.ts';
import type { NamedLists } from './named-lists.ts';
import {
  groupNameOf,
  isName,
  isWordForEverybody,
  SUBJECT_KINDS,
  splitSubject,
  whyNoName,
} from './subject.ts';
import { reportFault, type YamlPath } from './yaml-fault.ts';

/** Parses a member of a group, or an entry of a rule's `to`. Users and services share one namespace. */
export function readMember(
  parts: PartReader,
  text: string,
  path: YamlPath,
  forms: SubjectForms,
): readonly string[] {
  if (groupNameOf(text) !== undefined)
    return reportFault(
      parts,
      path,
      `"${text}" is a group, and a group cannot hold a group; list both in the rule's "to"`,
    );
  const written = splitSubject(text) ?? ({ kind: 'user', name: text } as const);
  const { kind, name: value } = written;
  switch (SUBJECT_KINDS[kind].naming) {
    case 'federated': {
      const why = value === '' ? 'it names nobody' : whyNoFederatedPattern(written, forms);
      return why === undefined ? [text] : reportFault(parts, path, `"${text}": ${why}`);
    }
    case 'pattern':
      return value === '' ? reportFault(parts, path, `"${text}" names nobody`) : [text];
    case 'account':
      return isName(value) ? [value] : reportFault(parts, path, `${whyNoName(value)}${suggestedName(value)}`);
  }
}

function suggestedName(text: string): string {
  if (isWordForEverybody(text)) return '';
  const names = text.split(/[\s,;]+/).filter((one) => one !== '');
  if (names.length > 1 && names.every(isName)) return `; write a list: [${names.join(', ')}]`;
  const plain = text.replace(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, '');
  return plain !== text && isName(plain) ? `; write "${plain}"` : '';
}

/** Returns why a bare name does not mean what its author intends, although a user could have it. */
export function whyOtherwiseMeant(text: string, groups: NamedLists): string | undefined {
  const plain = text.replace(/^[@%&]|^groups?[:/.](?=.)/, '');
  if (groups.get(plain) !== undefined) {
    const user = plain === text && isName(text) ? `, or user:${text} for a user of that name` : '';
    return `"${text}" is the name of a group; did you mean "group:${plain}"? Write that${user}`;
  }
  if (!isWordForEverybody(text)) return undefined;
  return `"${text}" would be a user; write authenticated for everybody who has logged in, anonymous for those who have not, or user:${text.toLowerCase()} for a user of that name`;
}
