//! The tables that are filled, in the order in which they refer to each other, and how many rows what happens makes.

use crate::companion::data::seed::cells::Table;

/// What happens over time, and is made in the order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Events {
    Content,
    Progress,
    Sessions,
    Activity,
}

impl Events {
    pub(super) const ALL: [Self; 4] = [Self::Content, Self::Progress, Self::Sessions, Self::Activity];

    /// As many as users of schools made in the measurements: by user and day, content by user.
    pub(super) fn count(self, users: u64, days: u32) -> u64 {
        let of_days = |per_thousand: u64| users * u64::from(days) * per_thousand / 1_000;
        match self {
            Self::Content => users * 4 / 3,
            Self::Progress => of_days(15),
            Self::Sessions => of_days(20),
            Self::Activity => of_days(30),
        }
    }
}

/// Tables in the order in which they refer to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    Organizations,
    Users,
    ApiKeys,
    ExportJobs,
    Classes,
    Enrollments,
    Events(Events),
    Lessons,
}

impl Made {
    pub(super) const ORDER: [Self; 11] = [
        Self::Organizations,
        Self::Users,
        Self::ApiKeys,
        Self::ExportJobs,
        Self::Classes,
        Self::Enrollments,
        Self::Events(Events::Content),
        Self::Lessons,
        Self::Events(Events::Progress),
        Self::Events(Events::Sessions),
        Self::Events(Events::Activity),
    ];

    #[rustfmt::skip]
    pub(super) fn spec(self) -> &'static Table {
        match self {
            Self::Organizations => &Table { name: "organizations", columns: &[
                "id", "name", "slug", "plan", "status", "timezone", "created_at", "updated_at"] },
            Self::Users => &Table { name: "users", columns: &[
                "id", "organization_id", "email", "username", "first_name", "last_name", "role", "status", "last_login_at",
                "created_at", "updated_at", "deleted_at"] },
            Self::ApiKeys => &Table { name: "api_keys", columns: &[
                "id", "organization_id", "user_id", "name", "prefix", "key_hash", "status", "last_used_at", "expires_at",
                "created_at", "deleted_at"] },
            Self::ExportJobs => &Table { name: "export_jobs", columns: &[
                "id", "organization_id", "requested_by", "format", "status", "progress", "created_at", "expires_at"] },
            Self::Classes => &Table { name: "classes", columns: &[
                "id", "organization_id", "teacher_id", "name", "status", "created_at", "updated_at", "deleted_at"] },
            Self::Enrollments => &Table { name: "enrollments", columns: &[
                "id", "organization_id", "class_id", "user_id", "status", "enrolled_at", "completed_at"] },
            Self::Events(Events::Content) => &Table { name: "educational_content", columns: &[
                "id", "organization_id", "author_id", "title", "description", "content_type", "status", "published_at",
                "view_count", "created_at", "updated_at", "deleted_at"] },
            Self::Lessons => &Table { name: "lessons", columns: &[
                "id", "organization_id", "content_id", "class_id", "title", "description", "status", "position",
                "duration_minutes", "created_at", "updated_at", "deleted_at"] },
            Self::Events(Events::Progress) => &Table { name: "lesson_progress", columns: &[
                "organization_id", "lesson_id", "user_id", "status", "score", "started_at", "completed_at", "updated_at"] },
            Self::Events(Events::Sessions) => &Table { name: "user_sessions", columns: &[
                "organization_id", "user_id", "started_at", "last_seen_at", "ended_at", "duration_seconds", "ip", "user_agent"] },
            Self::Events(Events::Activity) => &Table { name: "activity_log", columns: &[
                "organization_id", "user_id", "activity_type", "entity_type", "entity_id", "summary", "metadata", "created_at"] },
        }
    }
}
