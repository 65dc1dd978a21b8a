-- Times are microseconds since 1970, days are YYYY-MM-DD, ids are UUIDs as text.

-- migration 2 schema people: organisations (the tenants), their users and keys
CREATE TABLE IF NOT EXISTS organizations (
  id TEXT PRIMARY KEY, name TEXT NOT NULL, slug TEXT NOT NULL, plan TEXT NOT NULL DEFAULT 'free',
  status TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended', 'closed')), timezone TEXT NOT NULL DEFAULT 'UTC',
  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER
) STRICT;
CREATE TABLE IF NOT EXISTS users (
  id TEXT PRIMARY KEY, organization_id TEXT NOT NULL REFERENCES organizations (id),
  email TEXT NOT NULL, username TEXT NOT NULL, first_name TEXT NOT NULL, last_name TEXT NOT NULL,
  role TEXT NOT NULL CHECK (role IN ('admin', 'teacher', 'student', 'parent')),
  status TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'invited', 'suspended')), last_login_at INTEGER,
  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER
) STRICT;
CREATE TABLE IF NOT EXISTS api_keys (
  id TEXT PRIMARY KEY, organization_id TEXT NOT NULL REFERENCES organizations (id),
  user_id TEXT NOT NULL REFERENCES users (id), name TEXT NOT NULL, prefix TEXT NOT NULL, key_hash BLOB NOT NULL,
  status TEXT NOT NULL DEFAULT 'active', last_used_at INTEGER, expires_at INTEGER,
  created_at INTEGER NOT NULL, deleted_at INTEGER
) STRICT;

-- migration 3 schema teaching: classes, content, lessons
CREATE TABLE IF NOT EXISTS classes (
  id TEXT PRIMARY KEY, organization_id TEXT NOT NULL REFERENCES organizations (id),
  teacher_id TEXT NOT NULL REFERENCES users (id), name TEXT NOT NULL, status TEXT NOT NULL DEFAULT 'active',
  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER
) STRICT;
CREATE TABLE IF NOT EXISTS enrollments (
  id TEXT PRIMARY KEY, organization_id TEXT NOT NULL REFERENCES organizations (id),
  class_id TEXT NOT NULL REFERENCES classes (id), user_id TEXT NOT NULL REFERENCES users (id),
  status TEXT NOT NULL DEFAULT 'active', enrolled_at INTEGER NOT NULL, completed_at INTEGER
) STRICT;
CREATE TABLE IF NOT EXISTS educational_content (
  id TEXT PRIMARY KEY, organization_id TEXT NOT NULL REFERENCES organizations (id),
  author_id TEXT NOT NULL REFERENCES users (id), title TEXT NOT NULL, description TEXT NOT NULL, content_type TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('draft', 'review', 'published', 'archived')), published_at INTEGER,
  view_count INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER
) STRICT;
CREATE TABLE IF NOT EXISTS lessons (
  id TEXT PRIMARY KEY, organization_id TEXT NOT NULL REFERENCES organizations (id),
  content_id TEXT NOT NULL REFERENCES educational_content (id), class_id TEXT REFERENCES classes (id), title TEXT NOT NULL,
  description TEXT NOT NULL, status TEXT NOT NULL, position INTEGER NOT NULL, duration_minutes INTEGER NOT NULL,
  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER
) STRICT;

-- migration 4 schema events: what grows without end
CREATE TABLE IF NOT EXISTS lesson_progress (
  id INTEGER PRIMARY KEY, organization_id TEXT NOT NULL REFERENCES organizations (id),
  lesson_id TEXT NOT NULL REFERENCES lessons (id), user_id TEXT NOT NULL REFERENCES users (id), status TEXT NOT NULL,
  score REAL, started_at INTEGER NOT NULL, completed_at INTEGER, updated_at INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS user_sessions (
  id INTEGER PRIMARY KEY, organization_id TEXT NOT NULL REFERENCES organizations (id),
  user_id TEXT NOT NULL REFERENCES users (id), started_at INTEGER NOT NULL, last_seen_at INTEGER NOT NULL,
  ended_at INTEGER, duration_seconds INTEGER, ip TEXT, user_agent TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS activity_log (
  id INTEGER PRIMARY KEY, organization_id TEXT NOT NULL REFERENCES organizations (id),
  user_id TEXT REFERENCES users (id), activity_type TEXT NOT NULL, entity_type TEXT, entity_id TEXT, summary TEXT NOT NULL,
  metadata TEXT NOT NULL DEFAULT '{}', created_at INTEGER NOT NULL
) STRICT;

-- migration 5 schema own: what the companion keeps for itself: exports, and figures by day of the tenant's time zone
CREATE TABLE IF NOT EXISTS export_jobs (
  id TEXT PRIMARY KEY, organization_id TEXT NOT NULL REFERENCES organizations (id),
  requested_by TEXT NOT NULL REFERENCES users (id), format TEXT NOT NULL, status TEXT NOT NULL,
  progress INTEGER NOT NULL DEFAULT 0, row_count INTEGER, byte_count INTEGER, error TEXT,
  created_at INTEGER NOT NULL, started_at INTEGER, finished_at INTEGER, expires_at INTEGER
) STRICT;
CREATE TABLE IF NOT EXISTS metrics_daily (
  organization_id TEXT NOT NULL REFERENCES organizations (id), day TEXT NOT NULL, new_users INTEGER NOT NULL,
  content_created INTEGER NOT NULL, content_published INTEGER NOT NULL, sessions INTEGER NOT NULL, active_users INTEGER NOT NULL,
  session_seconds INTEGER NOT NULL, PRIMARY KEY (organization_id, day)
) STRICT, WITHOUT ROWID;
-- Users of a week are not the sum of its days' users: this is what they are counted from.
CREATE TABLE IF NOT EXISTS user_activity_days (
  organization_id TEXT NOT NULL REFERENCES organizations (id), day TEXT NOT NULL, user_id TEXT NOT NULL,
  PRIMARY KEY (organization_id, day, user_id)
) STRICT, WITHOUT ROWID;

-- migration 6 schema exports: exports stand alone, and enough is known of each to take it up again
-- Who asks is named by a token, and may be of a database that only can be read: ids are texts and refer to nothing.
CREATE TABLE export_jobs_alone (
  id TEXT PRIMARY KEY, organization_id TEXT NOT NULL, requested_by TEXT NOT NULL, format TEXT NOT NULL, status TEXT NOT NULL,
  progress INTEGER NOT NULL DEFAULT 0, row_count INTEGER, byte_count INTEGER, error TEXT,
  created_at INTEGER NOT NULL, started_at INTEGER, finished_at INTEGER, expires_at INTEGER,
  request TEXT, request_digest TEXT,
  -- Of tenant, user and key. Taken back when the export is over: the key then makes another.
  once TEXT UNIQUE,
  sha256 TEXT, file TEXT,
  -- The number of the attempt, by which a worker knows that the job is still its own.
  tries INTEGER NOT NULL DEFAULT 0, claimed_by TEXT, heartbeat_at INTEGER, cancel_requested INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO export_jobs_alone (id, organization_id, requested_by, format, status, progress, row_count, byte_count, error,
  created_at, started_at, finished_at, expires_at)
SELECT id, organization_id, requested_by, format, status, progress, row_count, byte_count, error, created_at, started_at,
  finished_at, expires_at
FROM export_jobs;
-- Its indexes go with it. Those of this file's sister are made anew after this step.
DROP TABLE export_jobs;
ALTER TABLE export_jobs_alone RENAME TO export_jobs;

-- migration 7 schema rollups: by whose days figures are, whether they stand, and who counts them
ALTER TABLE metrics_daily ADD COLUMN ended_sessions INTEGER NOT NULL DEFAULT 0;
ALTER TABLE metrics_daily ADD COLUMN timezone TEXT NOT NULL DEFAULT '';
ALTER TABLE metrics_daily ADD COLUMN settled INTEGER NOT NULL DEFAULT 0;
-- What one instance of several does: who, and until when unless it says so again.
CREATE TABLE IF NOT EXISTS companion_leases (name TEXT PRIMARY KEY, holder TEXT NOT NULL, expires_at INTEGER NOT NULL) STRICT;
-- How far regular work has come.
CREATE TABLE IF NOT EXISTS companion_marks (name TEXT PRIMARY KEY, day TEXT NOT NULL) STRICT;
