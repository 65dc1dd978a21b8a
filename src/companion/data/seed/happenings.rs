//! What people do: rows of content, lessons, progress, sessions and the feed, in the order of time.

use crate::base::calendar::DAY_US;
use crate::companion::data::seed::cells::{Cell, uuid};
use crate::companion::data::seed::tables::{Events, Made};
use crate::companion::data::seed::world::{Content, SECOND_US, World};

/// Younger sessions may still be open.
const OPEN_US: i64 = 2 * 3_600 * SECOND_US;
const WORDS: &[&str] = &[
    "algebra",
    "geometry",
    "history",
    "biology",
    "chemistry",
    "physics",
    "reading",
    "writing",
    "fractions",
    "decimals",
    "photosynthesis",
    "gravity",
    "energy",
    "planets",
    "volcano",
    "ecosystem",
    "grammar",
    "poetry",
    "coding",
    "robotics",
    "music",
    "painting",
    "economy",
    "climate",
    "ocean",
    "democracy",
    "empire",
    "revolution",
    "trade",
    "equation",
    "function",
    "triangle",
    "probability",
    "statistics",
    "matrix",
    "vector",
    "enzyme",
    "genome",
    "fossil",
    "magnet",
];

impl World {
    pub(super) fn content(&mut self, index: u64) -> Option<Vec<Cell>> {
        let place = self.tenant();
        let created_us = self.moment(Made::Events(Events::Content), index);
        let tenant = self.tenants.get(place)?;
        let author = *self.random.pick(&tenant.teachers)?;
        let random = &mut self.random;
        let id = random.uuid();
        let title = format!("{} {} unit {}", random.word(WORDS), random.word(WORDS), index % 500);
        let description: Vec<&str> = (0..8).map(|_| random.word(WORDS)).collect();
        let status = random.word(&[
            "published",
            "published",
            "published",
            "published",
            "published",
            "published",
            "draft",
            "draft",
            "review",
            "archived",
        ]);
        let deleted_us = random.percent(8).then(|| self.asked.now_us - random.span(120 * DAY_US));
        self.contents.push(Content { id, tenant: place, title: title.clone(), created_us, deleted_us });
        Some(vec![
            Cell::Id(id),
            Cell::Id(tenant.id),
            Cell::Id(author),
            Cell::Text(title),
            Cell::Text(description.join(" ")),
            Cell::Word(random.word(&["article", "video", "quiz", "simulation"])),
            Cell::Word(status),
            Cell::time((status == "published").then_some(created_us)),
            Cell::Integer(random.span(1_000)),
            Cell::Time(created_us),
            Cell::Time(created_us),
            Cell::time(deleted_us),
        ])
    }

    pub(super) fn lesson(&mut self, index: u64) -> Option<Vec<Cell>> {
        let content = self.contents.get(usize::try_from(index).ok()?)?;
        let tenant = self.tenants.get_mut(content.tenant)?;
        let random = &mut self.random;
        let id = random.uuid();
        tenant.lessons.push(id);
        let class = random.pick(&tenant.classes).map_or(Cell::Null, |class| Cell::Id(*class));
        Some(vec![
            Cell::Id(id),
            Cell::Id(tenant.id),
            Cell::Id(content.id),
            class,
            Cell::Text(format!("{} lesson", content.title)),
            Cell::Word(random.word(WORDS)),
            Cell::Word(if random.percent(80) { "published" } else { "draft" }),
            Cell::Integer(1),
            Cell::Integer(10 + random.span(50)),
            Cell::Time(content.created_us),
            Cell::Time(content.created_us),
            Cell::time(content.deleted_us),
        ])
    }

    pub(super) fn progress(&mut self, index: u64) -> Option<Vec<Cell>> {
        let started_us = self.moment(Made::Events(Events::Progress), index);
        let (place, tenant, user) = self.somebody()?;
        let lesson = *self.random.pick(&self.tenants.get(place)?.lessons)?;
        let is_completed = self.random.percent(60);
        let completed_us = (started_us + self.random.span(3 * DAY_US)).min(self.asked.now_us);
        let score = f64::from(u32::try_from(self.random.below(201)).unwrap_or(0)) / 2.0;
        Some(vec![
            Cell::Id(tenant),
            Cell::Id(lesson),
            Cell::Id(user.id),
            Cell::Word(if is_completed { "completed" } else { "in_progress" }),
            if is_completed { Cell::Real(score) } else { Cell::Null },
            Cell::Time(started_us),
            Cell::time(is_completed.then_some(completed_us)),
            Cell::Time(started_us),
        ])
    }

    pub(super) fn session(&mut self, index: u64) -> Option<Vec<Cell>> {
        let started_us = self.moment(Made::Events(Events::Sessions), index);
        let (_, tenant, user) = self.somebody()?;
        let seconds = 30 + self.random.span(3_600);
        let seen_us = (started_us + seconds * SECOND_US).min(self.asked.now_us);
        let has_ended = started_us < self.asked.now_us - OPEN_US;
        Some(vec![
            Cell::Id(tenant),
            Cell::Id(user.id),
            Cell::Time(started_us),
            Cell::Time(seen_us),
            Cell::time(has_ended.then_some(seen_us)),
            if has_ended { Cell::Integer(seconds) } else { Cell::Null },
            Cell::Text(format!("10.0.{}.{}", self.random.below(256), self.random.below(256))),
            Cell::Word("Mozilla/5.0 (X11; Linux x86_64) test"),
        ])
    }

    pub(super) fn activity(&mut self, index: u64) -> Option<Vec<Cell>> {
        let created_us = self.moment(Made::Events(Events::Activity), index);
        let (_, tenant, user) = self.somebody()?;
        let kind = match self.random.below(1_000) {
            0..550 => "login",
            550..750 => "lesson_completed",
            750..900 => "content_viewed",
            900..970 => "content_created",
            970..995 => "user_created",
            _ => "settings_changed",
        };
        Some(vec![
            Cell::Id(tenant),
            Cell::Id(user.id),
            Cell::Word(kind),
            Cell::Word("content"),
            Cell::Text(uuid(self.random.uuid())),
            Cell::Text(format!("Something happened to item {index}")),
            Cell::Word("{}"),
            Cell::Time(created_us),
        ])
    }
}
