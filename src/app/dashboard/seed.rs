//! `dashboard seed`: synthetic data, and how far it has come.

use serde_json::{Map, Value, json};

use crate::app::dashboard::Printed;
use crate::app::dashboard::arguments::SeedArgs;
use crate::app::dashboard::progress::Steps;
use crate::app::table::table;
use crate::base::{Clock, DatabaseSettings, SystemClock};
use crate::companion::{Access, Database, SeedAsked, Tenant};

/// Whom tokens may name, so that there is something to see.
const TENANTS_SHOWN: u32 = 10;

pub(super) async fn run(settings: &DatabaseSettings, args: &SeedArgs, json: bool) -> anyhow::Result<Printed> {
    let clock = SystemClock::new();
    let asked = SeedAsked {
        tenants: args.tenants,
        users_per_tenant: args.users_per_tenant,
        days: args.days,
        seed: args.seed,
        append: args.append,
        now_us: i64::try_from(clock.wall_ms().saturating_mul(1_000)).unwrap_or(i64::MAX),
    };
    let database = Database::open(settings, Access::Change).await?;
    if args.if_empty && !database.is_empty().await? {
        let place = database.place().to_owned();
        database.close().await;
        let data = if json {
            format!("{:#}\n", json!({"database": place, "seed": Value::Null, "rows": 0}))
        } else {
            format!("{place}: there is data in it, nothing was added\n")
        };
        return Ok(Printed { data, failure: None });
    }
    let bar = Steps::new(usize::try_from(asked.rows()).unwrap_or(usize::MAX));
    let mut told = |table: &'static str, rows: usize| {
        bar.say(table);
        bar.advance(rows);
    };
    let seeded = database.seed(&asked, &mut told).await;
    drop(bar);
    let tenants = database.largest_tenants(TENANTS_SHOWN).await;
    database.close().await;
    let (place, seeded, took_ms) = (database.place().to_owned(), seeded?, clock.monotonic_ms());
    let tenants = tenants?;
    let total: u64 = seeded.tables.iter().map(|(_, rows)| rows).sum();
    let data = if json {
        let tables: Map<String, Value> =
            seeded.tables.iter().map(|(table, rows)| ((*table).to_owned(), Value::from(*rows))).collect();
        let tenants: Vec<Value> = tenants.iter().map(tenant_json).collect();
        let told = json!({
            "database": place,
            "seed": asked.seed,
            "rows": total,
            "took_ms": took_ms,
            "tables": tables,
            "tenants": tenants,
        });
        format!("{told:#}\n")
    } else {
        let rows: Vec<Vec<String>> =
            seeded.tables.iter().map(|(table, rows)| vec![(*table).to_owned(), rows.to_string()]).collect();
        let tenants: Vec<Vec<String>> = tenants.iter().map(tenant_cells).collect();
        format!(
            "{place}: {total} rows in {took_ms} ms\n{}\nthe largest tenants\n{}",
            table(&["TABLE", "ROWS"], &rows),
            table(&["TENANT", "NAME", "TIME ZONE", "USERS", "AN ADMINISTRATOR"], &tenants)
        )
    };
    Ok(Printed { data, failure: None })
}

fn tenant_cells(tenant: &Tenant) -> Vec<String> {
    let admin = tenant.admin.clone().unwrap_or_default();
    vec![tenant.id.clone(), tenant.name.clone(), tenant.timezone.clone(), tenant.users.to_string(), admin]
}

fn tenant_json(tenant: &Tenant) -> Value {
    let Tenant { id, name, timezone, users, admin } = tenant;
    json!({"id": id, "name": name, "timezone": timezone, "users": users, "admin": admin})
}
