//! Tenants: whom a token has to name so that there is something to see.

use crate::companion::data::database::Database;
use crate::companion::data::fault::DatabaseFault;
use crate::companion::data::row::{Arg, Ask, dialects};

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// What tokens call it.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Its time zone.
    pub timezone: String,
    /// How many users it has.
    pub users: i64,
    /// One of them who is an administrator.
    pub admin: Option<String>,
}

impl Database {
    /// Is there no tenant?
    ///
    /// # Errors
    /// [`DatabaseFault`].
    pub async fn is_empty(&self) -> Result<bool, DatabaseFault> {
        let ask = Ask::new("looking for data", dialects!("any_organization"), Vec::new());
        Ok(self.rows(&ask).await?.is_empty())
    }

    /// The tenants with most users. For operators: no answer to a tenant's request is made of it.
    ///
    /// # Errors
    /// [`DatabaseFault`].
    pub async fn largest_tenants(&self, most: u32) -> Result<Vec<Tenant>, DatabaseFault> {
        let args = vec![Arg::Integer(i64::from(most))];
        let rows = self.rows(&Ask::new("listing tenants", dialects!("largest_tenants"), args)).await?;
        let tenant = |row: &super::row::Row| {
            Ok(Tenant {
                id: row.text("id")?,
                name: row.text("name")?,
                timezone: row.text("timezone")?,
                users: row.integer("users")?,
                admin: row.maybe_text("admin")?,
            })
        };
        rows.iter().map(tenant).collect()
    }
}
