//! Who there is: rows of each table in their order, by chance but from the seed alone.

use crate::base::calendar::DAY_US;
use crate::companion::data::seed::SeedAsked;
use crate::companion::data::seed::cells::Cell;
use crate::companion::data::seed::random::Random;
use crate::companion::data::seed::tables::{Events, Made};

pub(super) const SECOND_US: i64 = 1_000_000;

const ZONES: &[&str] = &["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Adelaide"];
const PLANS: &[&str] = &["free", "pro", "enterprise"];
const FIRST: &[&str] = &["Ana", "Bo", "Chen", "Dee", "Eli", "Fay", "Gus", "Hana", "Ivo", "Jun"];
const LAST: &[&str] =
    &["Smith", "Garcia", "Kim", "Novak", "Rossi", "Silva", "Khan", "Olsen", "Moreau", "Weber"];

/// A tenant and what belongs to it.
pub(super) struct Tenant {
    pub(super) id: u128,
    /// All up to it have so much of the whole.
    pub(super) share_end: u64,
    pub(super) users: Vec<User>,
    pub(super) teachers: Vec<u128>,
    pub(super) classes: Vec<u128>,
    pub(super) lessons: Vec<u128>,
}

#[derive(Clone, Copy)]
pub(super) struct User {
    pub(super) id: u128,
    pub(super) created_us: i64,
    pub(super) is_student: bool,
}

pub(super) struct Content {
    pub(super) id: u128,
    pub(super) tenant: usize,
    pub(super) title: String,
    pub(super) created_us: i64,
    pub(super) deleted_us: Option<i64>,
}

/// Everything that was made so far, as far as later rows refer to it.
pub(super) struct World {
    pub(super) random: Random,
    pub(super) asked: SeedAsked,
    pub(super) tenants: Vec<Tenant>,
    pub(super) contents: Vec<Content>,
    /// The table that is being made, and how many rows it has.
    table: Option<Made>,
    made: u64,
}

impl World {
    pub(super) fn new(asked: &SeedAsked) -> Self {
        let mut random = Random::new(asked.seed);
        let mut share_end = 0;
        let tenants = (1..=u64::from(asked.tenants)).map(|rank| {
            share_end += 1_000_000 / rank;
            Tenant {
                id: random.uuid(),
                share_end,
                users: Vec::new(),
                teachers: Vec::new(),
                classes: Vec::new(),
                lessons: Vec::new(),
            }
        });
        let tenants = tenants.collect();
        Self { random, asked: *asked, tenants, contents: Vec::new(), table: None, made: 0 }
    }

    pub(super) fn tables(&self) -> [Made; 11] {
        Made::ORDER
    }

    /// The next rows of a table, at most `most`; none when it is done.
    pub(super) fn rows(&mut self, table: Made, most: usize) -> Vec<Vec<Cell>> {
        if self.table != Some(table) {
            (self.table, self.made) = (Some(table), 0);
        }
        let mut rows = Vec::new();
        while rows.len() < most && self.made < self.length(table) {
            let index = self.made;
            self.made += 1;
            rows.extend(self.row(table, index));
            if rows.is_empty() && self.made == self.length(table) {
                break;
            }
        }
        rows
    }

    fn users(&self) -> u64 {
        u64::from(self.asked.tenants) * u64::from(self.asked.users_per_tenant)
    }

    fn length(&self, table: Made) -> u64 {
        match table {
            Made::Organizations => u64::from(self.asked.tenants),
            Made::Users => self.users(),
            Made::ApiKeys => self.users() / 10,
            Made::ExportJobs => self.users() / 20,
            Made::Classes => (self.users() / 20).max(u64::from(self.asked.tenants)),
            Made::Enrollments => self.users(),
            Made::Events(events) => events.count(self.users(), self.asked.days),
            Made::Lessons => u64::try_from(self.contents.len()).unwrap_or(0),
        }
    }

    fn row(&mut self, table: Made, index: u64) -> Option<Vec<Cell>> {
        match table {
            Made::Organizations => self.organization(index),
            Made::Users => self.user(index),
            Made::ApiKeys => self.api_key(),
            Made::ExportJobs => self.export_job(),
            Made::Classes => self.class(index),
            Made::Enrollments => self.enrollment(),
            Made::Events(Events::Content) => self.content(index),
            Made::Lessons => self.lesson(index),
            Made::Events(Events::Progress) => self.progress(index),
            Made::Events(Events::Sessions) => self.session(index),
            Made::Events(Events::Activity) => self.activity(index),
        }
    }

    /// When a row of so many was made: evenly over the days, in order.
    pub(super) fn moment(&self, table: Made, index: u64) -> i64 {
        let span = i64::from(self.asked.days) * DAY_US;
        let length = i64::try_from(self.length(table)).unwrap_or(i64::MAX).max(1);
        let index = i64::try_from(index + 1).unwrap_or(i64::MAX);
        let step = span / length;
        self.asked.now_us - span + (step * index).min(span)
    }

    pub(super) fn tenant(&mut self) -> usize {
        let end = self.tenants.last().map_or(0, |last| last.share_end);
        let ticket = self.random.below(end);
        self.tenants.partition_point(|tenant| tenant.share_end <= ticket)
    }

    /// A tenant by its share, and one of its users.
    pub(super) fn somebody(&mut self) -> Option<(usize, u128, User)> {
        let index = self.tenant();
        let tenant = self.tenants.get(index)?;
        Some((index, tenant.id, *self.random.pick(&tenant.users)?))
    }

    fn some_time_ago(&mut self, days: i64) -> i64 {
        self.asked.now_us - self.random.span(days * DAY_US)
    }

    fn organization(&mut self, index: u64) -> Option<Vec<Cell>> {
        let tenant = self.tenants.get(usize::try_from(index).ok()?)?;
        let created_us = self.asked.now_us - (i64::from(self.asked.days) + 100) * DAY_US;
        let number = index + 1;
        let seed = self.asked.seed;
        let turn = |words: &[&'static str]| {
            Cell::Word(
                usize::try_from(index)
                    .ok()
                    .and_then(|index| words.iter().cycle().nth(index % words.len().max(1)))
                    .copied()
                    .unwrap_or("UTC"),
            )
        };
        Some(vec![
            Cell::Id(tenant.id),
            Cell::Text(format!("Organization {number}")),
            Cell::Text(format!("org-{seed}-{number}")),
            turn(PLANS),
            Cell::Word("active"),
            turn(ZONES),
            Cell::Time(created_us),
            Cell::Time(created_us),
        ])
    }

    fn user(&mut self, index: u64) -> Option<Vec<Cell>> {
        // The first ones go round, so that no tenant is without.
        let all = u64::from(self.asked.tenants);
        let place = if index < all { usize::try_from(index).ok()? } else { self.tenant() };
        let created_us = self.moment(Made::Users, index);
        let random = &mut self.random;
        let id = random.uuid();
        let role = match random.below(100) {
            0 => "admin",
            1..6 => "teacher",
            6..97 => "student",
            _ => "parent",
        };
        let status = match random.below(100) {
            0..90 => "active",
            90..96 => "invited",
            _ => "suspended",
        };
        // Most have been here lately: the cube of an even chance.
        let idle = random.span(1_000);
        let idle_us = i64::from(self.asked.days) * DAY_US / 1_000_000 * (idle * idle * idle) / 1_000;
        let login_us = (self.asked.now_us - idle_us).max(created_us);
        let deleted_us = random.percent(5).then(|| self.asked.now_us - random.span(120 * DAY_US));
        let tenant = self.tenants.get_mut(place)?;
        if deleted_us.is_none() {
            tenant.users.push(User { id, created_us, is_student: role == "student" });
            if role == "admin" || role == "teacher" || tenant.teachers.is_empty() {
                tenant.teachers.push(id);
            }
        }
        let seed = self.asked.seed;
        Some(vec![
            Cell::Id(id),
            Cell::Id(tenant.id),
            Cell::Text(format!("User{index}.{seed}@example{}.test", index % 50)),
            Cell::Text(format!("user{index}.{seed}")),
            Cell::Text(format!("{}{}", random.word(FIRST), index % 97)),
            Cell::Text(format!("{}{}", random.word(LAST), index % 89)),
            Cell::Word(role),
            Cell::Word(status),
            Cell::time((status != "invited").then_some(login_us)),
            Cell::Time(created_us),
            Cell::Time(created_us),
            Cell::time(deleted_us),
        ])
    }

    fn api_key(&mut self) -> Option<Vec<Cell>> {
        let (_, tenant, user) = self.somebody()?;
        let (id, used_us) = (self.random.uuid(), self.some_time_ago(60));
        let created_us = self.some_time_ago(100);
        let random = &mut self.random;
        let hash: String = (0..4).map(|_| format!("{:016x}", random.next())).collect();
        Some(vec![
            Cell::Id(id),
            Cell::Id(tenant),
            Cell::Id(user.id),
            Cell::Word("key"),
            Cell::Text(format!("tg_{:08x}", random.below(1 << 32))),
            Cell::Bytes(hash),
            Cell::Word(if random.percent(80) { "active" } else { "revoked" }),
            Cell::Time(used_us),
            Cell::Time(self.asked.now_us + random.span(300 * DAY_US)),
            Cell::Time(created_us),
            Cell::time(random.percent(10).then(|| self.asked.now_us - random.span(120 * DAY_US))),
        ])
    }

    fn export_job(&mut self) -> Option<Vec<Cell>> {
        let (_, tenant, user) = self.somebody()?;
        let created_us = self.some_time_ago(30);
        let is_done = self.random.percent(95);
        let expires_us = created_us + DAY_US;
        let status = match (is_done, expires_us < self.asked.now_us) {
            (true, true) => "expired",
            (true, false) => "done",
            (false, _) => "queued",
        };
        Some(vec![
            Cell::Id(self.random.uuid()),
            Cell::Id(tenant),
            Cell::Id(user.id),
            Cell::Word(self.random.word(&["csv", "json", "xlsx"])),
            Cell::Word(status),
            Cell::Integer(if is_done { 100 } else { 0 }),
            Cell::Time(created_us),
            Cell::time(is_done.then_some(expires_us)),
        ])
    }

    fn class(&mut self, index: u64) -> Option<Vec<Cell>> {
        let all = u64::from(self.asked.tenants);
        let place = if index < all { usize::try_from(index).ok()? } else { self.tenant() };
        let created_us = self.some_time_ago(self.asked.days.into());
        let tenant = self.tenants.get_mut(place)?;
        let teacher = *self.random.pick(&tenant.teachers)?;
        let id = self.random.uuid();
        tenant.classes.push(id);
        let deleted = self.random.percent(5);
        Some(vec![
            Cell::Id(id),
            Cell::Id(tenant.id),
            Cell::Id(teacher),
            Cell::Text(format!("Class {index}")),
            Cell::Word(if self.random.percent(80) { "active" } else { "archived" }),
            Cell::Time(created_us),
            Cell::Time(created_us),
            Cell::time(deleted.then_some(self.asked.now_us)),
        ])
    }

    /// One of each student; the next student where there is one.
    fn enrollment(&mut self) -> Option<Vec<Cell>> {
        let mut number = usize::try_from(self.made).ok()?;
        let tenant = self.tenants.iter().find(|tenant| {
            let is_here = number <= tenant.users.len();
            number = if is_here { number } else { number - tenant.users.len() };
            is_here
        })?;
        let user = tenant.users.get(number.checked_sub(1)?).filter(|user| user.is_student)?;
        let class = *self.random.pick(&tenant.classes)?;
        let is_completed = self.random.percent(30);
        Some(vec![
            Cell::Id(self.random.uuid()),
            Cell::Id(tenant.id),
            Cell::Id(class),
            Cell::Id(user.id),
            Cell::Word(if is_completed { "completed" } else { "active" }),
            Cell::Time(user.created_us),
            Cell::time(is_completed.then_some(self.asked.now_us)),
        ])
    }
}
