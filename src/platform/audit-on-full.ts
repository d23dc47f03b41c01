/**
 * The possible reactions of the gateway while the audit log cannot be written, as the configuration names
 * them.
 */
export const AUDIT_ON_FULL = ['wait', 'refuse', 'drop'] as const;
export type AuditOnFull = (typeof AUDIT_ON_FULL)[number];
