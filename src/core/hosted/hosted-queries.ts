/**
 * The statements of the hosted repositories. Their texts are for SQLite and for PostgreSQL: `main` is the
 * schema of the tables, and `?1` is the first value, until an engine writes both in its own way.
 */
export const SELECT_HOSTED = {
  repository: 'SELECT id, bytes, tags FROM main.repository WHERE path = ?1',
  pathOf: 'SELECT path FROM main.repository WHERE id = ?1',
  /** The names between the slash after a namespace and the character after the slash. */
  used: `SELECT CAST(coalesce(sum(bytes), 0) AS bigint) AS bytes FROM main.repository WHERE path > ?1 || '/' AND path < ?1 || '0'`,
  blob: 'SELECT size, leased_until FROM main.blob WHERE repository = ?1 AND digest = ?2',
  anyBlob: 'SELECT 1 FROM main.blob WHERE digest = ?1 LIMIT 1',
  manifest:
    'SELECT media_type, size, used_at, bytes FROM main.manifest WHERE repository = ?1 AND digest = ?2',
  manifestHead:
    'SELECT media_type, size, subject, pushed_at, used_at FROM main.manifest WHERE repository = ?1 AND digest = ?2',
  tag: 'SELECT digest, set_at FROM main.tag WHERE repository = ?1 AND name = ?2',
  tagsAfter: 'SELECT name FROM main.tag WHERE repository = ?1 AND name > ?2 ORDER BY name LIMIT ?3',
  tagsOf: 'SELECT name, set_at FROM main.tag WHERE repository = ?1 AND digest = ?2',
  anyTagOf: 'SELECT name FROM main.tag WHERE repository = ?1 AND digest = ?2 LIMIT 1',
  anyParent: 'SELECT parent FROM main.child WHERE repository = ?1 AND child = ?2 LIMIT 1',
  children: 'SELECT child FROM main.child WHERE repository = ?1 AND parent = ?2',
  referrers: `SELECT digest, media_type, size, artifact_type, octet_length(annotations) AS annotations_size FROM main.manifest
    WHERE repository = ?1 AND subject = ?2 AND digest > ?3 AND (CAST(?4 AS text) IS NULL OR artifact_type = ?4) ORDER BY digest LIMIT ?5`,
  annotations: `SELECT digest, annotations FROM main.manifest WHERE repository = ?1 AND subject = ?2 AND digest > ?3 AND digest <= ?4
    AND (CAST(?5 AS text) IS NULL OR artifact_type = ?5) AND annotations IS NOT NULL`,
  referrerDigests: 'SELECT digest FROM main.manifest WHERE repository = ?1 AND subject = ?2',
  referrerCount: 'SELECT count(*) AS referrers FROM main.manifest WHERE repository = ?1 AND subject = ?2',
  candidates: `SELECT c.repository, r.path, c.digest, c.review_at FROM main.candidate c JOIN main.repository r ON r.id = c.repository
    WHERE c.review_at <= ?1 ORDER BY c.review_at, c.repository, c.digest LIMIT ?2`,
  reviewAt: 'SELECT review_at FROM main.candidate WHERE repository = ?1 AND digest = ?2',
  repositoriesAfter: `SELECT id, path FROM main.repository WHERE path > ?1 AND path < ?2 || '0' ORDER BY path LIMIT 1`,
  allTags: `SELECT t.name, t.digest, t.set_at, m.used_at FROM main.tag t JOIN main.manifest m ON m.repository = t.repository AND m.digest = t.digest
    WHERE t.repository = ?1 ORDER BY t.set_at DESC, t.name`,
  /** All but the tags under which clients keep the signatures of an image that is here: `sha256-….sig`. */
  tagsToRetain: `SELECT t.name, t.digest, t.set_at, m.used_at FROM main.tag t JOIN main.manifest m ON m.repository = t.repository AND m.digest = t.digest
    WHERE t.repository = ?1 AND NOT (t.name LIKE 'sha___-%' AND EXISTS (SELECT 1 FROM main.manifest s WHERE s.repository = t.repository
      AND s.digest IN ('sha256:' || substr(t.name, 8, 64), 'sha512:' || substr(t.name, 8, 128)) AND s.digest <> t.digest))
    ORDER BY t.set_at DESC, t.name`,
  untagged: `SELECT digest FROM main.manifest m WHERE repository = ?1 AND pushed_at < ?2 AND digest > ?3
    AND NOT EXISTS (SELECT 1 FROM main.tag t WHERE t.repository = ?1 AND t.digest = m.digest)
    AND NOT EXISTS (SELECT 1 FROM main.child c WHERE c.repository = ?1 AND c.child = m.digest)
    ORDER BY digest LIMIT ?4`,
  lastChange:
    'SELECT previous FROM main.tag_history WHERE repository = ?1 AND tag = ?2 ORDER BY id DESC LIMIT 1',
  history:
    'SELECT at, digest, previous, subject, credential FROM main.tag_history WHERE repository = ?1 AND tag = ?2 ORDER BY id DESC LIMIT ?3',
  historyAfter: 'SELECT id, repository, tag, at FROM main.tag_history WHERE id > ?1 ORDER BY id LIMIT ?2',
  laterChange: 'SELECT 1 FROM main.tag_history WHERE repository = ?1 AND tag = ?2 AND id > ?3 LIMIT 1',
  removals: 'SELECT id, repository, tag, digest, credential, reason FROM main.removal ORDER BY id LIMIT ?1',
  repositories: 'SELECT path, bytes, tags FROM main.repository WHERE path > ?1 ORDER BY path LIMIT ?2',
  lastReplaced: 'SELECT max(at) AS at FROM main.tag_history WHERE repository = ?1 AND previous = ?2',
  blobsAfter:
    'SELECT digest, max(size) AS size FROM main.blob WHERE digest > ?1 GROUP BY digest ORDER BY digest LIMIT ?2',
  manifestsAfter: `SELECT m.id, r.path, m.digest, m.bytes FROM main.manifest m JOIN main.repository r ON r.id = m.repository
    WHERE m.id > ?1 ORDER BY m.id LIMIT ?2`,
  manifestsOf: 'SELECT id, digest FROM main.manifest WHERE repository = ?1 AND id > ?2 ORDER BY id LIMIT ?3',
  wholeManifest: `SELECT media_type, size, pushed_at, subject, artifact_type, annotations, bytes FROM main.manifest
    WHERE repository = ?1 AND digest = ?2`,
  /** The tags that there are, and those that were. */
  everyTag: `SELECT name FROM (SELECT name FROM main.tag WHERE repository = ?1
    UNION SELECT tag FROM main.tag_history WHERE repository = ?1) AS every WHERE name > ?2 ORDER BY name LIMIT ?3`,
  pathsWithBlob: `SELECT r.path FROM main.blob b JOIN main.repository r ON r.id = b.repository WHERE b.digest = ?1 ORDER BY r.path`,
  tornTags: `SELECT r.path, t.name, t.digest FROM main.tag t JOIN main.repository r ON r.id = t.repository
    WHERE NOT EXISTS (SELECT 1 FROM main.manifest m WHERE m.repository = t.repository AND m.digest = t.digest)`,
  tornManifests: `SELECT r.path, c.parent, c.child FROM main.child c JOIN main.repository r ON r.id = c.repository
    WHERE NOT EXISTS (SELECT 1 FROM main.blob b WHERE b.repository = c.repository AND b.digest = c.child)
    AND NOT EXISTS (SELECT 1 FROM main.manifest m WHERE m.repository = c.repository AND m.digest = c.child)`,
} as const;

/** The queries and changes of what only a cluster has: the objects with the bytes of the blobs. */
export const SELECT_HOSTED_CONTENT = {
  content: 'SELECT size, object FROM main.content WHERE digest = ?1',
} as const;
export const CHANGE_HOSTED_CONTENT = {
  /** The first object of a digest stays. */
  putContent: `INSERT INTO main.content AS old (digest, size, object) VALUES (?1, ?2, ?3)
    ON CONFLICT (digest) DO UPDATE SET object = excluded.object WHERE old.object IS NULL`,
  /** The object is removed later, because another node may still read it. */
  removeContent: `WITH gone AS (DELETE FROM main.content WHERE digest = ?1 RETURNING object)
    INSERT INTO hubgate.removed_object (key) SELECT object FROM gone WHERE object IS NOT NULL ON CONFLICT DO NOTHING`,
} as const;

export const CHANGE_HOSTED = {
  addRepository: 'INSERT INTO main.repository (path) VALUES (?1) ON CONFLICT DO NOTHING',
  putBlob: `INSERT INTO main.blob AS old (repository, digest, size, leased_until) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (repository, digest) DO UPDATE SET leased_until = excluded.leased_until
    WHERE excluded.leased_until > old.leased_until`,
  putManifest: `INSERT INTO main.manifest (repository, digest, media_type, size, pushed_at, used_at, subject, artifact_type, annotations, bytes)
    VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7, ?8, ?9)
    ON CONFLICT (repository, digest) DO UPDATE SET media_type = excluded.media_type, pushed_at = excluded.pushed_at,
      used_at = excluded.used_at, subject = excluded.subject, artifact_type = excluded.artifact_type, annotations = excluded.annotations`,
  putChild: 'INSERT INTO main.child (repository, parent, child) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING',
  putTag: `INSERT INTO main.tag (repository, name, digest, set_at) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (repository, name) DO UPDATE SET digest = excluded.digest, set_at = excluded.set_at`,
  addHistory:
    'INSERT INTO main.tag_history (repository, tag, digest, previous, at, subject, credential) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)',
  removeHistory: 'DELETE FROM main.tag_history WHERE id = ?1',
  addRemoval:
    'INSERT INTO main.removal (repository, tag, digest, credential, reason) VALUES (?1, ?2, ?3, ?4, ?5)',
  forgetRemovals: 'DELETE FROM main.removal WHERE id <= ?1',
  boundRemovals: 'DELETE FROM main.removal WHERE id <= (SELECT max(id) FROM main.removal) - ?1',
  putCandidate: `INSERT INTO main.candidate AS old (repository, digest, review_at) VALUES (?1, ?2, ?3)
    ON CONFLICT (repository, digest) DO UPDATE SET review_at = excluded.review_at
    WHERE excluded.review_at > old.review_at`,
  postponeCandidate: 'UPDATE main.candidate SET review_at = ?1 WHERE repository = ?2 AND digest = ?3',
  removeCandidate: 'DELETE FROM main.candidate WHERE repository = ?1 AND digest = ?2',
  touchManifest: 'UPDATE main.manifest SET used_at = ?1 WHERE repository = ?2 AND digest = ?3',
  removeTag: 'DELETE FROM main.tag WHERE repository = ?1 AND name = ?2',
  removeManifest: 'DELETE FROM main.manifest WHERE repository = ?1 AND digest = ?2',
  removeChildren: 'DELETE FROM main.child WHERE repository = ?1 AND parent = ?2',
  removeBlob: 'DELETE FROM main.blob WHERE repository = ?1 AND digest = ?2',
} as const;
