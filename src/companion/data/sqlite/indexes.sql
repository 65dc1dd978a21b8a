-- migration 101 unique uq_users_email: log-in by e-mail address
CREATE UNIQUE INDEX IF NOT EXISTS uq_users_email ON users (lower(email)) WHERE deleted_at IS NULL;

-- migration 102 unique uq_users_org_username: a name once in a tenant
CREATE UNIQUE INDEX IF NOT EXISTS uq_users_org_username ON users (organization_id, lower(username)) WHERE deleted_at IS NULL;

-- migration 103 unique uq_api_keys_hash: a key by its hash
CREATE UNIQUE INDEX IF NOT EXISTS uq_api_keys_hash ON api_keys (key_hash);

-- migration 104 unique uq_organizations_slug: a tenant by its short name
CREATE UNIQUE INDEX IF NOT EXISTS uq_organizations_slug ON organizations (lower(slug)) WHERE deleted_at IS NULL;

-- migration 105 unique uq_enrollments: a user once in a class; the roster
CREATE UNIQUE INDEX IF NOT EXISTS uq_enrollments ON enrollments (class_id, user_id);

-- migration 201 tenant users_org_role: users by role with their log-ins and growth, in one pass
CREATE INDEX IF NOT EXISTS users_org_role ON users (organization_id, role, created_at, last_login_at, status) WHERE deleted_at IS NULL;

-- migration 202 tenant users_org_created: growth by day; export in chunks
CREATE INDEX IF NOT EXISTS users_org_created ON users (organization_id, created_at DESC, id) WHERE deleted_at IS NULL;

-- migration 203 tenant users_org_login: who has been idle
CREATE INDEX IF NOT EXISTS users_org_login ON users (organization_id, last_login_at DESC) WHERE deleted_at IS NULL;

-- migration 204 tenant classes_org_status: classes by status
CREATE INDEX IF NOT EXISTS classes_org_status ON classes (organization_id, status) WHERE deleted_at IS NULL;

-- migration 205 tenant enrollments_org: enrolments by status
CREATE INDEX IF NOT EXISTS enrollments_org ON enrollments (organization_id, status, enrolled_at);

-- migration 206 tenant content_listing: content of one status, newest first; content by status
CREATE INDEX IF NOT EXISTS content_listing ON educational_content (organization_id, status, created_at DESC) WHERE deleted_at IS NULL;

-- migration 207 tenant content_org_created: content created by day
CREATE INDEX IF NOT EXISTS content_org_created ON educational_content (organization_id, created_at, status) WHERE deleted_at IS NULL;

-- migration 208 tenant content_org_type: content by type; of one type, newest first
CREATE INDEX IF NOT EXISTS content_org_type ON educational_content (organization_id, content_type, created_at DESC) WHERE deleted_at IS NULL;

-- migration 209 tenant lessons_org_status: lessons by status
CREATE INDEX IF NOT EXISTS lessons_org_status ON lessons (organization_id, status, created_at DESC) WHERE deleted_at IS NULL;

-- migration 210 tenant progress_org_completed: completions, and the lessons that are completed most
CREATE INDEX IF NOT EXISTS progress_org_completed ON lesson_progress (organization_id, completed_at, lesson_id, user_id, score) WHERE completed_at IS NOT NULL;

-- migration 211 tenant sessions_org_started: sessions and active users by day
CREATE INDEX IF NOT EXISTS sessions_org_started ON user_sessions (organization_id, started_at, user_id, duration_seconds);

-- migration 212 tenant sessions_org_online: who is online
CREATE INDEX IF NOT EXISTS sessions_org_online ON user_sessions (organization_id, last_seen_at, user_id) WHERE ended_at IS NULL;

-- migration 213 tenant activity_feed: the feed, newest first, page by page
CREATE INDEX IF NOT EXISTS activity_feed ON activity_log (organization_id, created_at DESC, id DESC);

-- migration 214 tenant activity_feed_type: the feed of some types
CREATE INDEX IF NOT EXISTS activity_feed_type ON activity_log (organization_id, activity_type, created_at DESC, id DESC);

-- migration 215 tenant api_keys_org: keys of a tenant
CREATE INDEX IF NOT EXISTS api_keys_org ON api_keys (organization_id, status, created_at DESC) WHERE deleted_at IS NULL;

-- migration 216 tenant export_jobs_list: exports of a tenant
CREATE INDEX IF NOT EXISTS export_jobs_list ON export_jobs (organization_id, created_at DESC);

-- migration 401 queue sessions_open: sessions that nobody has closed
CREATE INDEX IF NOT EXISTS sessions_open ON user_sessions (last_seen_at) WHERE ended_at IS NULL;

-- migration 402 queue export_jobs_queue: the next export
CREATE INDEX IF NOT EXISTS export_jobs_queue ON export_jobs (created_at) WHERE status IN ('queued','running');

-- migration 403 queue export_jobs_expiry: exports whose time is over
CREATE INDEX IF NOT EXISTS export_jobs_expiry ON export_jobs (expires_at) WHERE status = 'done';

-- migration 404 queue api_keys_expiring: keys that are about to expire
CREATE INDEX IF NOT EXISTS api_keys_expiring ON api_keys (expires_at) WHERE status = 'active' AND deleted_at IS NULL;

-- migration 405 queue users_invited: invitations that nobody has answered
CREATE INDEX IF NOT EXISTS users_invited ON users (created_at) WHERE status = 'invited' AND deleted_at IS NULL;

-- migration 406 queue content_review_queue: what waits for a review
CREATE INDEX IF NOT EXISTS content_review_queue ON educational_content (organization_id, created_at) WHERE status = 'review' AND deleted_at IS NULL;

-- migration 407 queue organizations_not_active: suspended tenants
CREATE INDEX IF NOT EXISTS organizations_not_active ON organizations (status) WHERE deleted_at IS NULL AND status <> 'active';

-- migration 501 foreign_key classes_teacher: classes of a teacher
CREATE INDEX IF NOT EXISTS classes_teacher ON classes (teacher_id);

-- migration 502 foreign_key enrollments_user: enrolments of a user
CREATE INDEX IF NOT EXISTS enrollments_user ON enrollments (user_id, status);

-- migration 503 foreign_key content_author: content of an author
CREATE INDEX IF NOT EXISTS content_author ON educational_content (author_id, created_at DESC);

-- migration 504 foreign_key lessons_content: lessons of a content
CREATE INDEX IF NOT EXISTS lessons_content ON lessons (content_id, position);

-- migration 505 foreign_key lessons_class: lessons of a class
CREATE INDEX IF NOT EXISTS lessons_class ON lessons (class_id, position);

-- migration 506 foreign_key progress_lesson: progress in a lesson
CREATE INDEX IF NOT EXISTS progress_lesson ON lesson_progress (lesson_id, status);

-- migration 507 foreign_key progress_user: progress of a user
CREATE INDEX IF NOT EXISTS progress_user ON lesson_progress (user_id, started_at DESC);

-- migration 508 foreign_key sessions_user: sessions of a user
CREATE INDEX IF NOT EXISTS sessions_user ON user_sessions (user_id, started_at DESC);

-- migration 509 foreign_key activity_user: history of a user
CREATE INDEX IF NOT EXISTS activity_user ON activity_log (user_id, created_at DESC);

-- migration 510 foreign_key api_keys_user: keys of a user
CREATE INDEX IF NOT EXISTS api_keys_user ON api_keys (user_id);

-- migration 511 foreign_key export_jobs_user: exports of a user
CREATE INDEX IF NOT EXISTS export_jobs_user ON export_jobs (requested_by);

-- migration 701 soft_delete users_deleted: deleted users to purge
CREATE INDEX IF NOT EXISTS users_deleted ON users (deleted_at) WHERE deleted_at IS NOT NULL;

-- migration 702 soft_delete content_deleted: deleted content to purge
CREATE INDEX IF NOT EXISTS content_deleted ON educational_content (deleted_at) WHERE deleted_at IS NOT NULL;

-- migration 703 soft_delete lessons_deleted: deleted lessons to purge
CREATE INDEX IF NOT EXISTS lessons_deleted ON lessons (deleted_at) WHERE deleted_at IS NOT NULL;

-- migration 704 soft_delete classes_deleted: deleted classes to purge
CREATE INDEX IF NOT EXISTS classes_deleted ON classes (deleted_at) WHERE deleted_at IS NOT NULL;

-- migration 705 soft_delete api_keys_deleted: deleted keys to purge
CREATE INDEX IF NOT EXISTS api_keys_deleted ON api_keys (deleted_at) WHERE deleted_at IS NOT NULL;
