import { z } from 'zod';
import { oneOrManyJson, section } from '../platform/yaml/yaml-schema.ts';
import { CLUSTER_KEYS } from './cluster.ts';
import { FEDERATION_KEYS } from './federation.ts';
import { HOSTED_KEYS, NAMESPACE_KEYS } from './hosted.ts';
import { LDAP_KEYS, LOGIN_KEYS, OIDC_KEYS } from './login.ts';
import { ABOUT, SECTIONS, UPSTREAM_KEYS } from './schema.ts';

/** Returns the JSON Schema of hubgate.yaml, for editors. */
export function configSchema(): object {
  const about = (key: keyof typeof ABOUT) => ({ description: ABOUT[key] });
  const named = <Entry extends z.ZodType>(entry: Entry, key: 'upstreams' | 'federation' | 'login') =>
    z.record(z.string(), entry).nullish().meta(about(key));
  const sections = Object.entries(SECTIONS).map(([key, keys]) => {
    const schema: z.ZodType = section(keys)
      .nullish()
      .meta(about(key as keyof typeof SECTIONS));
    return [key, schema] as const;
  });
  const schema = z.strictObject({
    ...Object.fromEntries(sections),
    upstreams: named(section(UPSTREAM_KEYS).nullish(), 'upstreams'),
    hosted: section({ ...HOSTED_KEYS, namespaces: z.record(z.string(), section(NAMESPACE_KEYS).nullish()) })
      .nullish()
      .meta(about('hosted')),
    cluster: section(CLUSTER_KEYS).nullish().meta(about('cluster')),
    federation: named(section(FEDERATION_KEYS), 'federation'),
    login: named(
      section({ oidc: section(OIDC_KEYS).optional(), ldap: section(LDAP_KEYS).optional(), ...LOGIN_KEYS }),
      'login',
    ),
  });
  const json = z.toJSONSchema(schema, {
    io: 'input',
    unrepresentable: 'any',
    override: (context) => {
      oneOrManyJson(context);
      const { jsonSchema } = context;
      // `without` is our own keyword for a default that cannot be written as a value; JSON Schema does not
      // have it.
      delete jsonSchema.without;
      if (jsonSchema.description !== undefined) jsonSchema.description = withoutLinks(jsonSchema.description);
    },
  });
  return { ...json, title: 'The configuration of a Hubgate mirror' };
}

/** Replaces the links, which are relative to a page in `docs`. */
function withoutLinks(text: string): string {
  return text.replace(/\[([^\]]+)\]\([^)]+\)/g, 'docs/$1');
}
