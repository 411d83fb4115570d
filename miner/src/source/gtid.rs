//! GTIDs in the source's own requests and answers.

use common::gtid::{GtidSet, MySqlInterval};
use common::position::BinlogPosition;
use mysql::Conn;
use mysql::prelude::Queryable as _;
use mysql_common::packets::{GnoInterval, Sid, Tag};

use super::error::SourceError;
use super::server::Flavor;

/// What a server has executed and can still send.
#[derive(Clone, Debug)]
pub struct GtidState {
    /// Everything that it has executed; on MariaDB what is in its log.
    pub executed: GtidSet,
    /// What its log no longer holds. Empty on MariaDB, which tells when it is asked for
    /// what it has purged.
    pub purged: GtidSet,
}

impl GtidState {
    pub(super) fn read(conn: &mut Conn, flavor: Flavor) -> Result<Self, SourceError> {
        Ok(match flavor {
            Flavor::MySql => Self {
                executed: variable(conn, "gtid_executed")?,
                purged: variable(conn, "gtid_purged")?,
            },
            Flavor::MariaDb => Self {
                executed: variable(conn, "gtid_binlog_pos")?,
                purged: GtidSet::new(),
            },
        })
    }
}

fn variable(conn: &mut Conn, name: &'static str) -> Result<GtidSet, SourceError> {
    let text: String = conn
        .query_first(format!("select @@global.{name}"))
        .map_err(SourceError::query("read executed GTIDs"))?
        .unwrap_or_default();
    parse(name, text)
}

fn parse(what: &'static str, value: String) -> Result<GtidSet, SourceError> {
    value
        .parse()
        .map_err(|_| SourceError::Unexpected { what, value })
}

/// Offset from which on the server cannot look a position up.
const MAX_LOOKUP_OFFSET: u64 = u32::MAX as u64;

/// MariaDB: the GTID position at a place of the log, when the server finds it.
pub(super) fn mariadb_gtids_at(
    conn: &mut Conn,
    position: &BinlogPosition,
) -> Result<Option<GtidSet>, SourceError> {
    if position.offset > MAX_LOOKUP_OFFSET {
        return Ok(None);
    }
    let text: Option<Option<String>> = conn
        .exec_first(
            "select binlog_gtid_pos(?, ?)",
            (position.file.name(), position.offset),
        )
        .map_err(SourceError::query("look up the GTIDs of a position"))?;
    text.flatten()
        .map(|text| parse("BINLOG_GTID_POS", text))
        .transpose()
}

/// A set as COM_BINLOG_DUMP_GTID carries it: one block per source and tag.
pub(super) fn sids(set: &GtidSet) -> Vec<Sid<'static>> {
    let mut sids: Vec<Sid<'static>> = Vec::new();
    let mut last: Option<MySqlInterval<'_>> = None;
    for interval in set.mysql_intervals() {
        // Half open on the wire.
        let wire = GnoInterval::new(interval.first, interval.last + 1);
        let same =
            last.is_some_and(|last| (last.source, last.tag) == (interval.source, interval.tag));
        last = Some(interval);
        if same && let Some(sid) = sids.pop() {
            sids.push(sid.with_interval(wire));
            continue;
        }
        let sid = Sid::new(interval.source.0).with_interval(wire);
        sids.push(
            match interval.tag.map(|tag| Tag::new(tag.as_str().to_owned())) {
                // A tag of ours is one of theirs: both follow the manual.
                Some(Ok(tag)) => sid.with_tag(tag),
                Some(Err(_)) | None => sid,
            },
        );
    }
    sids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_becomes_one_block_per_source_and_tag_with_half_open_intervals() {
        let a = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
        let set: GtidSet = format!("{a}:1-5:7:abc:2-3").parse().unwrap();
        let sids = sids(&set);
        let intervals = |sid: &Sid<'_>| -> Vec<(u64, u64)> {
            sid.intervals()
                .iter()
                .map(|interval| (interval.start(), interval.end()))
                .collect()
        };
        assert_eq!(sids.len(), 2);
        assert_eq!(intervals(&sids[0]), [(1, 6), (7, 8)]);
        assert_eq!(sids[0].tag(), None);
        assert_eq!(intervals(&sids[1]), [(2, 4)]);
        assert_eq!(sids[1].tag().map(|tag| tag.as_str()), Some("abc"));
    }
}
