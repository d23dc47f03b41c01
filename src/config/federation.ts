import { z } from 'zod';
import type { Fault } from '../platform/fault.ts';
import { isLoopback } from '../platform/network.ts';
import { type PartReader, section } from '../platform/yaml/yaml-schema.ts';
import { COMMON_CLAIMS, type FederationPreset, PRESET_NAMES, PRESETS } from './federation-preset.ts';
import { optional } from './schema.ts';
import { claimsOf, literalsOf, parseTemplate, type SubjectTemplate, UNFIT } from './subject-template.ts';

/** An external issuer whose JWTs are logins here. Their subjects are `oidc:NAME:…`. */
export interface Federation {
  readonly name: string;
  /** The exact text of `iss` in its JWTs. */
  readonly issuer: string;
  readonly audience: string;
  readonly subject: SubjectTemplate;
}

const AN_ISSUER = 'the https address of an issuer, as its tokens write it (http on loopback only)';
const AN_AUDIENCE = 'the audience that tokens for this mirror have, such as mirror.corp';
const A_TEMPLATE = 'a text with claims in it, such as "${repository}@${ref}"';

export const FEDERATION_KEYS = {
  preset: optional(
    z.enum(PRESET_NAMES, `one of ${PRESET_NAMES.join(', ')}`),
    'none',
    'A known issuer: sets `issuer` and `subject`.',
  ),
  issuer: optional(
    z.string(AN_ISSUER).refine(isIssuer, AN_ISSUER),
    'that of the preset; required without one',
    'Must equal the `iss` claim exactly.',
  ),
  audience: z
    .string(AN_AUDIENCE)
    .refine((text) => text !== '' && !UNFIT.test(text), AN_AUDIENCE)
    .meta({ description: 'Must equal the `aud` claim.', without: 'none: it is required' }),
  subject: optional(
    z.string(A_TEMPLATE),
    'that of the preset; required without one',
    'The claims that make the subject, as `${claim}`.',
  ),
};

const FEDERATIONS = z.record(z.string(), z.unknown(), 'a map of federations by name').nullish();
const FEDERATION = section(FEDERATION_KEYS);
/**
 * The name may not contain a colon, because the subjects of one federation would then begin like those of
 * another.
 */
const NAME = /^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/;

function isIssuer(text: string): boolean {
  const url = UNFIT.test(text) ? null : URL.parse(text);
  if (url === null || `${url.username}${url.password}` !== '' || /[?#]/.test(text)) return false;
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname));
}

/**
 * Returns the subject forms of these federations, and those of the presets, because a policy may name a
 * preset before it is configured.
 */
export function subjectForms(federations: readonly Federation[]): Record<string, string[]> {
  const presets = Object.entries(PRESETS).map(([name, { subject }]) => {
    const read = parseTemplate(subject);
    return [name, 'template' in read ? literalsOf(read.template) : []] as const;
  });
  const configured = federations.map(({ name, subject }) => [name, literalsOf(subject)] as const);
  return Object.fromEntries([...presets, ...configured]);
}

export interface ReadFederations {
  readonly federations: readonly Federation[];
  readonly warnings: readonly Fault[];
}

export function readFederations(parts: PartReader): ReadFederations {
  const names = Object.keys(parts.read(['federation'], FEDERATIONS) ?? {});
  const read = names.flatMap((name) => readFederation(parts, name) ?? []);
  const federations = read.map(({ federation }) => federation);
  federations.forEach(({ name, issuer, audience }, index) => {
    const twin = federations
      .slice(0, index)
      .find((other) => other.issuer === issuer && other.audience === audience);
    if (twin !== undefined)
      parts.fault(
        ['federation', name, 'audience'],
        `"${twin.name}" has the same issuer and audience; no token could tell which of them it is for`,
      );
  });
  return { federations, warnings: read.flatMap(({ warnings }) => warnings) };
}

function readFederation(
  parts: PartReader,
  name: string,
): { federation: Federation; warnings: Fault[] } | undefined {
  const path = ['federation', name];
  if (!NAME.test(name))
    parts.fault(path, `"${name}" is no name of a federation (lower-case letters, digits and ._-)`, 'key');
  const given = parts.read(path, FEDERATION);
  if (given === undefined) return undefined;
  const { issuer, subject, preset } = withPreset(given);
  if (issuer === undefined) parts.fault(path, `${name} needs an issuer, or a preset`, 'key');
  if (subject === undefined) parts.fault(path, `${name} needs a subject, or a preset`, 'key');
  const read = subject === undefined ? undefined : parseTemplate(subject);
  if (read !== undefined && 'wrong' in read) parts.fault([...path, 'subject'], read.wrong);
  if (issuer === undefined || read === undefined || 'wrong' in read) return undefined;
  const warnings = lintTemplate(read.template, preset).map((message) =>
    parts.yaml.faultAt([...path, 'subject'], message),
  );
  return { federation: { name, issuer, audience: given.audience, subject: read.template }, warnings };
}

function withPreset({ preset: name, issuer, subject }: z.output<typeof FEDERATION>) {
  const preset =
    name === undefined ? Object.values(PRESETS).find((one) => one.issuer === issuer) : PRESETS[name];
  if (name === undefined) return { issuer, subject, preset };
  return { issuer: issuer ?? PRESETS[name].issuer, subject: subject ?? PRESETS[name].subject, preset };
}

/** Finds what is valid in a template, but lets in more than its author may think. */
function lintTemplate(template: SubjectTemplate, preset: FederationPreset | undefined): string[] {
  const identifies = (claim: string) => preset?.identifying.has(claim) ?? !COMMON_CLAIMS.has(claim);
  const claims = claimsOf(template);
  const unknown = claims.filter(
    (claim) => preset !== undefined && !preset.identifying.has(claim) && !preset.others.has(claim),
  );
  const warnings = unknown.map(
    (claim) => `this issuer is not known to make a claim "${claim}", and without it nobody is let in`,
  );
  if (!claims.some((claim) => identifies(claim) || unknown.includes(claim)))
    warnings.push(
      'any project of this issuer can have such a subject; name a claim that only yours has, such as ${repository}',
    );
  const blurred = template.findIndex(
    (part, index) => 'claim' in part && identifies(part.claim.join('/')) && isBlurred(template, index),
  );
  if (blurred >= 0)
    warnings.push(
      'what follows the claim of the project can be a part of its name, and a project with such a name cannot log in; write @ or : behind it',
    );
  return warnings;
}

/** True if the text between this claim and the next one can be a part of a project's name. */
function isBlurred(template: SubjectTemplate, index: number): boolean {
  const next = template[index + 1];
  if (next === undefined || 'claim' in next) return false;
  return index + 2 < template.length && /^[A-Za-z0-9._/-]*$/.test(next.text);
}
