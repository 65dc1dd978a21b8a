//! What the instances tell each other of their caches' counters.

use crate::base::Tasks;
use crate::store::{StoreFailure, Stores};
use crate::telemetry::{CacheShare, CacheStatsBy, Metrics};
use std::sync::Arc;
use std::time::Duration;

/// Between two words of an instance.
const TOTALS_EVERY: Duration = Duration::from_secs(1);

impl Stores {
    /// Tells the others every second what this instance has counted.
    pub(super) fn tell_totals(&self, metrics: &Arc<Metrics>, tasks: &Tasks) {
        let Some(totals) = self.totals.clone() else { return };
        let metrics = Arc::clone(metrics);
        tasks.spawn_until_stop("totals", async move {
            loop {
                tokio::time::sleep(TOTALS_EVERY).await;
                let mine = CacheShare::of(&metrics.cache_report(CacheStatsBy::Total));
                if let Err(failure) = totals.tell(&mine.text()).await {
                    tracing::trace!(%failure, "totals not told");
                }
            }
        });
    }

    /// What every live instance that shares the store has counted, this one (`mine`) among them. Without a store between
    /// them that is this one.
    ///
    /// # Errors
    /// [`StoreFailure`]: the others are not known now.
    pub async fn totals(&self, mine: CacheShare) -> Result<Vec<CacheShare>, StoreFailure> {
        let Some(totals) = &self.totals else { return Ok(vec![mine]) };
        let told = totals.all(&mine.text()).await?;
        Ok(told.iter().filter_map(|text| CacheShare::parse(text)).collect())
    }
}
