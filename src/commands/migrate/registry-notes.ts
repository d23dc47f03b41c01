/** Settings of a `registry` that mean nothing here, with what to do instead. */
export const WITHOUT_EQUAL: readonly (readonly [path: string, why: string])[] = [
  [
    'proxy.exec',
    'no credential helper is run; let it write passwordFile, which is followed while the mirror runs',
  ],
  ['proxy.remotenamespace', 'the whole upstream is mirrored; narrow it in access.yaml'],
  ['http.prefix', 'the API is at /v2/ only'],
  ['http.headers', 'the headers of answers are fixed'],
  [
    'http.tls.letsencrypt',
    'no certificate is fetched; let certbot or lego write tls.certificate and tls.key, which are reloaded when they change',
  ],
  ['http.tls.ciphersuites', 'TLS 1.2 and later as Node has them'],
  ['http.h2c', 'TLS and HTTP/1.1 only'],
  ['storage.s3', 'the cache is on a local disk: see cache.directory'],
  ['storage.azure', 'the cache is on a local disk: see cache.directory'],
  ['storage.gcs', 'the cache is on a local disk: see cache.directory'],
  ['storage.swift', 'the cache is on a local disk: see cache.directory'],
  ['storage.oss', 'the cache is on a local disk: see cache.directory'],
  ['storage.inmemory', 'the cache is on a local disk; put cache.directory on a tmpfs'],
  ['storage.maintenance.readonly', 'nothing can be pushed to a mirror; its cache has no read-only mode'],
  ['middleware', 'there is none; blobs come from the mirror’s own disk'],
  ['notifications', 'nobody is called; the audit log has a line for each request, see log.audit'],
  ['reporting', 'nothing is reported to others'],
  ['health.http', 'nobody else is asked; see /readyz on server.admin'],
  ['health.tcp', 'nobody else is asked; see /readyz on server.admin'],
  ['health.file', 'no file is looked at; see /readyz on server.admin'],
  ['log.hooks', 'the log calls nobody'],
  ['log.fields', 'the lines of the log have no fields of your own'],
];

/** Settings that are not needed here, with the reason. */
export const NOT_NEEDED: readonly (readonly [path: string, why: string])[] = [
  ['http.secret', 'nothing is uploaded, so nothing is signed with it'],
  ['http.relativeurls', 'what needs an address has it from server.url'],
  ['http.draintimeout', 'it is 30 s'],
  ['http.http2', 'HTTP/1.1 is spoken'],
  ['http.tls.minimumtls', 'TLS 1.2 and later'],
  ['storage.delete', 'content goes by itself, or by hubgate cache purge'],
  ['storage.redirect', 'blobs come from the mirror itself'],
  ['storage.cache', 'what is cached is indexed in the cache itself'],
  ['storage.maintenance.uploadpurging', 'nothing is uploaded'],
  ['redis', 'it is not needed; the index of the cache lies beside it'],
  ['health.storagedriver', 'the disk may fail: pulls go past the cache then'],
  ['log.accesslog', 'the audit log is always written, see log.audit'],
  ['validation', 'nothing is pushed; what is pulled is verified against its digest'],
  ['catalog', '/v2/_catalog is off; server.catalog: true lists what the caller may pull'],
];
