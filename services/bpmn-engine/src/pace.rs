//! How long activities take: counted in memory, written by the sweep. A crash loses at most the counts
//! of one sweep; they only feed the early warning.
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use crate::{error::Error, store::Connection};

/// Key, tag, activity and bucket.
type Place = (String, String, String, i16);

/// Counts that are not written yet.
#[derive(Debug, Default)]
pub struct Pace(Mutex<HashMap<Place, i64>>);

/// Bucket of a duration: its number of binary digits, so bucket n holds 2^(n-1) to 2^n - 1 ms.
pub fn bucket(millis: i64) -> i16 {
    i16::try_from(64 - millis.max(0).leading_zeros()).unwrap_or(63)
}

/// Largest duration of a bucket, in milliseconds.
pub fn upper(bucket: i16) -> i64 {
    (1_i64 << bucket.clamp(0, 62)) - 1
}

impl Pace {
    /// Counts activities that ended.
    pub fn count(&self, durations: Vec<(String, String, String, i64)>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, tag, activity, millis) in durations {
            *counts.entry((key, tag, activity, bucket(millis))).or_default() += 1;
        }
    }

    /// Adds the counts to the table.
    ///
    /// # Errors
    /// When the database is away; the counts of this time are lost then.
    pub async fn write(&self, db: &Connection) -> Result<(), Error> {
        let counts = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if counts.is_empty() {
            return Ok(());
        }
        // In one order in all replicas, so that they do not wait for each other in a circle.
        let mut rows: Vec<(Place, i64)> = counts.into_iter().collect();
        rows.sort();
        let keys: Vec<&str> = rows.iter().map(|(place, _)| place.0.as_str()).collect();
        let tags: Vec<&str> = rows.iter().map(|(place, _)| place.1.as_str()).collect();
        let activities: Vec<&str> = rows.iter().map(|(place, _)| place.2.as_str()).collect();
        let buckets: Vec<i16> = rows.iter().map(|(place, _)| place.3).collect();
        let counts: Vec<i64> = rows.iter().map(|(_, count)| *count).collect();
        let statement = db
            .prepare_cached(
                "insert into activity_time as t (process_key, version_tag, activity, bucket, count)
                 select * from unnest($1::text[], $2::text[], $3::text[], $4::smallint[], $5::bigint[])
                 on conflict (process_key, version_tag, activity, bucket)
                 do update set count = t.count + excluded.count",
            )
            .await?;
        db.execute(&statement, &[&keys, &tags, &activities, &buckets, &counts]).await?;
        Ok(())
    }
}
