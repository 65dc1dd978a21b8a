//! The section `dashboard` as it works.

use crate::base::units::{format_duration, format_size};
use crate::base::{DatabaseSettings, ServiceSettings, TableMapping};
use crate::cache::Namespace;
use crate::config::snapshot::{DashboardSettings, KeptFigures};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The companion as JSON.
pub(super) fn dashboard_value(dashboard: &DashboardSettings) -> Value {
    let mut value = database_value(&dashboard.database);
    if let (Value::Object(all), Value::Object(of_service)) =
        (&mut value, service_value(&dashboard.service, &dashboard.kept))
    {
        all.extend(of_service);
    }
    value
}

fn service_value(service: &ServiceSettings, kept: &KeptFigures) -> Value {
    let ServiceSettings { exports, rollups, .. } = service;
    let name = |namespace: &Option<Arc<Namespace>>| {
        namespace.as_ref().map_or("none".to_owned(), |namespace| namespace.name.to_string())
    };
    json!({
        "listen": service.listen.to_string(),
        "timezone": service.timezone,
        "gateways": service.gateways,
        "gateway_token": service.gateway_token.as_ref().map(|_| "***"),
        "roles": {"read": service.readers, "export": service.exporters},
        "signing_secret": service.signing_secret.as_ref().map(|_| "***"),
        "own_database": service.own.as_ref().map(ToString::to_string),
        "cache": {
            "metrics": name(&kept.metrics),
            "activity": name(&kept.activity),
            "statistics": name(&kept.statistics),
        },
        "export_dir": exports.dir,
        "exports": {
            "lifetime": format_duration(exports.lifetime),
            "per_tenant": exports.per_tenant,
            "bytes_per_tenant": format_size(exports.bytes_per_tenant),
            "at_once_rows": exports.at_once_rows,
            "rows_max": exports.rows_max,
        },
        "rollups": {"every": format_duration(rollups.every), "days": rollups.days},
    })
}

fn database_value(database: &DatabaseSettings) -> Value {
    let DatabaseSettings { url, replica, read_only, mapping, .. } = database;
    let DatabaseSettings { connections, acquire_timeout, statement_timeout, .. } = database;
    let table = |(name, own): (&String, &TableMapping)| {
        (name.clone(), json!({"name": own.name, "columns": own.columns}))
    };
    json!({
        "database": url.to_string(),
        "replica_url": replica.as_ref().map(ToString::to_string),
        "read_only": read_only,
        "mapping": {"id": mapping.id.as_str(), "tables": mapping.tables.iter().map(table).collect::<Map<String, Value>>()},
        "pool": {
            "connections": connections,
            "acquire_timeout": format_duration(*acquire_timeout),
            "statement_timeout": format_duration(*statement_timeout),
        },
    })
}
