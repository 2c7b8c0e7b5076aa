//! Segments.

use flagbearer::segment::Segment;

use super::engine::{Connection, Row, params};
use super::flags::{stored, to_value};
use super::{Edit, Entity, Write};
use crate::error::{Error, Result};

#[derive(Debug, Clone, PartialEq)]
pub struct StoredSegment {
    pub segment: Segment,
    pub revision: i64,
}

macro_rules! columns {
    () => {
        "SELECT document, revision FROM segments "
    };
}

impl TryFrom<&Row> for StoredSegment {
    type Error = Error;

    fn try_from(row: &Row) -> Result<Self> {
        let segment = Segment::parse(&stored(&row.text(0)?)?).map_err(Error::internal)?;
        Ok(Self { segment, revision: row.integer(1)? })
    }
}

impl Connection {
    pub async fn find_segment(&mut self, key: &str) -> Result<Option<StoredSegment>> {
        let row = self.row(concat!(columns!(), "WHERE key = $1"), params![key]).await?;
        row.as_ref().map(StoredSegment::try_from).transpose()
    }

    pub async fn segment(&mut self, key: &str) -> Result<StoredSegment> {
        self.find_segment(key).await?.ok_or_else(|| Error::not_found("segment", key))
    }

    /// In order of key, those after `cursor`.
    pub async fn segments(&mut self, cursor: &str, limit: i64) -> Result<Vec<StoredSegment>> {
        let rows = self.rows(concat!(columns!(), "WHERE key > $1 ORDER BY key LIMIT $2"), params![cursor, limit]).await?;
        rows.iter().map(StoredSegment::try_from).collect()
    }

    pub async fn all_segments(&mut self) -> Result<Vec<Segment>> {
        Ok(self.segments("", i64::MAX).await?.into_iter().map(|stored| stored.segment).collect())
    }
}

impl Write {
    pub async fn put_segment(&mut self, before: Option<&Segment>, after: &Segment) -> Result<StoredSegment> {
        let sql = "INSERT INTO segments (key, document, revision) VALUES ($1, $2, $3) \
                   ON CONFLICT (key) DO UPDATE SET document = excluded.document, revision = excluded.revision";
        let document = to_value(after)?;
        self.execute(sql, params![after.key.as_str(), document.to_string(), self.revision]).await?;
        let before = before.map(to_value).transpose()?;
        self.record(Edit::new(Entity::Segment, after.key.as_str(), before, Some(document)));
        Ok(StoredSegment { segment: after.clone(), revision: self.revision })
    }

    pub async fn delete_segment(&mut self, segment: &Segment) -> Result<()> {
        self.execute("DELETE FROM segments WHERE key = $1", params![segment.key.as_str()]).await?;
        self.record(Edit::new(Entity::Segment, segment.key.as_str(), Some(to_value(segment)?), None));
        Ok(())
    }
}
