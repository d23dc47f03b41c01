/** What happens while the audit log cannot be written: a word of the configuration that the gateway goes by. */
export const AUDIT_ON_FULL = ['wait', 'refuse', 'drop'] as const;
export type AuditOnFull = (typeof AUDIT_ON_FULL)[number];
