//! What is asked: the companion's own questions and those of the catalogue, for tenants of three sizes.

use crate::plan::{PLACES, catalogue};
use crate::standing::{Standing, one};
use anyhow::{Context, Result};
use std::fmt;
use tidegate::companion::questions::{Asker, Part, Question, questions};

/// For whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Size {
    /// The tenant with the most users.
    Large,
    /// The 21st of 200.
    Middling,
    /// The 151st of 200.
    Small,
    /// All tenants at once.
    All,
}

impl Size {
    pub(crate) const TENANTS: [Self; 3] = [Self::Large, Self::Middling, Self::Small];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Large => "large",
            Self::Middling => "middling",
            Self::Small => "small",
            Self::All => "all",
        }
    }

    /// Its place among the tenants by users.
    fn rank(self, tenants: u32) -> u32 {
        match self {
            Self::Large | Self::All => 0,
            Self::Middling => tenants / 10,
            Self::Small => tenants * 3 / 4,
        }
    }
}

/// One question for one tenant.
pub(crate) struct Asked {
    pub(crate) group: &'static str,
    pub(crate) name: String,
    pub(crate) size: Size,
    pub(crate) form: Form,
}

/// Where its text is from.
pub(crate) enum Form {
    /// The companion's own.
    Own(Question),
    /// The catalogue's, with its values.
    Catalogue(String),
}

impl Asked {
    /// A step of a roll-up: it changes something, and wants the steps before it.
    pub(crate) fn is_roll_up(&self) -> bool {
        matches!(&self.form, Form::Own(question) if question.part == Part::RollUp)
    }

    fn own(question: Question, size: Size) -> Self {
        let group = match question.part {
            Part::Metrics => "metrics",
            Part::Activity => "activity",
            Part::Statistics => "statistics",
            Part::Exports => "exports",
            Part::RollUp => "roll-ups",
            Part::Other => "others",
        };
        Self { group, name: question.name.to_owned(), size, form: Form::Own(question) }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.name, self.size.as_str())
    }
}

/// By the letter with which names of the catalogue begin.
fn group(name: &str) -> &'static str {
    match name.chars().next() {
        Some('M') => "metrics",
        Some('A') => "activity",
        Some('S') => "statistics",
        Some('L') => "look-ups",
        _ => "others",
    }
}

/// Who asks, of each size.
pub(crate) async fn asker(standing: &mut Standing, size: Size) -> Result<Asker> {
    let by_users = "SELECT organization_id FROM users GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1 OFFSET";
    let rank = size.rank(standing.scale.tenants);
    let tenant = one(&mut standing.session, &format!("{by_users} {rank}")).await?;
    let user =
        format!("SELECT id FROM users WHERE organization_id = '{tenant}' AND deleted_at IS NULL LIMIT 1");
    let user = one(&mut standing.session, &user).await?;
    let zone = format!("SELECT timezone FROM organizations WHERE id = '{tenant}'");
    let zone = one(&mut standing.session, &zone).await?;
    Ok(Asker { tenant, user, zone, now_us: standing.scale.now_us })
}

/// All questions, in the order in which they are told.
pub(crate) async fn all(standing: &mut Standing, askers: &[(Size, Asker)]) -> Result<Vec<Asked>> {
    let mut asked = Vec::new();
    for (size, asker) in askers {
        let size = *size;
        let own = questions(asker).into_iter();
        let is_of_all = |question: &Question| matches!(question.part, Part::RollUp | Part::Other);
        asked.extend(
            own.filter(|question| size == Size::Large || !is_of_all(question))
                .map(|question| (if is_of_all(&question) { Size::All } else { size }, question))
                .map(|(size, question)| Asked::own(question, size)),
        );
        let mut values = Vec::new();
        for (_, finding) in PLACES {
            let sql = finding.replace("{}", &format!("'{}'::uuid", asker.tenant));
            values.push(one(&mut standing.session, &sql).await?);
        }
        for entry in catalogue(&values) {
            if entry.is_of_tenant || size == Size::Large {
                let size = if entry.is_of_tenant { size } else { Size::All };
                let name = entry.name.to_owned();
                asked.push(Asked { group: group(&name), name, size, form: Form::Catalogue(entry.sql) });
            }
        }
    }
    asked.first().context("no zone of a tenant is known")?;
    Ok(asked)
}
