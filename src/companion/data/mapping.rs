//! An application's own names: in front of a question stands what its tables are called, as common table expressions, which
//! both engines look through as if the question named the tables itself. Nothing is made in the database for it.

use crate::base::{FIGURE_TABLES, IdType, Mapping, TableMapping};
use std::borrow::Cow;

/// Which dialect is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Postgres,
    Sqlite,
}

/// A question under the application's names. As it is where there is nothing to map.
pub(super) fn mapped<'s>(sql: &'s str, mapping: &Mapping, dialect: Dialect) -> Cow<'s, str> {
    if *mapping == Mapping::default() {
        return Cow::Borrowed(sql);
    }
    let named = mapping.tables.iter().filter(|(table, _)| names(sql, table));
    let tables: Vec<String> = named.map(|(table, own)| expression(table, own, mapping.id, dialect)).collect();
    let with = if tables.is_empty() { String::new() } else { format!("WITH {}\n", tables.join(",\n")) };
    let sql = match (dialect, mapping.id) {
        (Dialect::Postgres, IdType::Bigint | IdType::Text) => {
            sql.replace("::uuid", &format!("::{}", mapping.id.as_str()))
        }
        (Dialect::Postgres, IdType::Uuid) | (Dialect::Sqlite, _) => sql.to_owned(),
    };
    Cow::Owned(with + &sql)
}

/// Is the table a word of the question?
fn names(sql: &str, table: &str) -> bool {
    sql.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').any(|word| word == table)
}

fn expression(table: &str, own: &TableMapping, id: IdType, dialect: Dialect) -> String {
    let columns =
        FIGURE_TABLES.iter().find(|(known, _)| *known == table).map_or(&[][..], |(_, columns)| columns);
    let column = |(name, kind): &(&str, &str)| {
        let kind =
            if *kind == "text" && name.ends_with("id") && *name != "entity_id" { id.as_str() } else { kind };
        match (own.columns.get(*name), dialect) {
            (Some(Some(theirs)), _) => format!("{} AS {name}", quoted(theirs)),
            (Some(None), Dialect::Postgres) => format!("NULL::{kind} AS {name}"),
            (Some(None), Dialect::Sqlite) => format!("NULL AS {name}"),
            (None, _) => quoted(name),
        }
    };
    let columns: Vec<String> = columns.iter().map(column).collect();
    // SQLite takes a name without a schema for the expression itself.
    let schema = if dialect == Dialect::Sqlite && !own.name.contains('.') { "main." } else { "" };
    let name: Vec<String> = own.name.split('.').map(quoted).collect();
    format!("{table} AS NOT MATERIALIZED (SELECT {} FROM {schema}{})", columns.join(", "), name.join("."))
}

/// A name as both engines take it, whatever is in it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_question_names_stands_in_front_of_it() {
        let own = |name: &str, columns: &[(&str, Option<&str>)]| TableMapping {
            name: name.to_owned(),
            columns: columns.iter().map(|(ours, own)| ((*ours).to_owned(), own.map(str::to_owned))).collect(),
        };
        let tables = [
            (
                "lesson_progress".to_owned(),
                own("school.results", &[("score", None), ("organization_id", Some("school\"s"))]),
            ),
            ("users".to_owned(), own("accounts", &[])),
        ];
        let mapping = Mapping { id: IdType::Bigint, tables: tables.into() };
        let sql = "SELECT count(*) FROM lesson_progress WHERE organization_id = $1::uuid";
        assert_eq!(
            mapped(sql, &mapping, Dialect::Postgres),
            "WITH lesson_progress AS NOT MATERIALIZED (SELECT \"school\"\"s\" AS organization_id, \"completed_at\", \
             NULL::double precision AS score FROM \"school\".\"results\")\n\
             SELECT count(*) FROM lesson_progress WHERE organization_id = $1::bigint"
        );
        assert!(mapped("SELECT 1 FROM users", &mapping, Dialect::Sqlite).contains("FROM main.\"accounts\")"));
        assert_eq!(mapped(sql, &Mapping::default(), Dialect::Postgres), sql);
    }
}
