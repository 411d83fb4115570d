//! Global transaction identifiers of MySQL and MariaDB, and sets of them.
//!
//! The miner collects the GTIDs it has staged, staging and the target's checkpoint keep
//! them as text, and a resume on another server compares them with what that server has
//! executed. Text is the servers' own notation, so that an operator can paste it:
//!
//! - MySQL: `uuid:1-5:7:tag:1-3, uuid:1` (tags since 8.3), numbers 1 to 2^63 - 1;
//! - MariaDB: `0-1-100,1-2-7`, one `domain-server-sequence` per domain. It is a
//!   position: it stands for everything in the domain up to that sequence.
//!
//! A set never mixes the two; [`GtidSet::add`] and [`GtidSet::union`] refuse to.
//! This module does no I/O.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Largest transaction number MySQL assigns (`GNO_END` is 2^63 - 1, exclusive).
const MAX_NUMBER: u64 = (1 << 63) - 2;

/// Longest tag (MySQL manual, "GTID Format").
const MAX_TAG_CHARS: usize = 32;

/// Why a GTID or GTID set was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum GtidError {
    /// Not `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`.
    #[error("malformed source uuid in GTID")]
    MalformedUuid,
    /// Not a letter or underscore followed by at most 31 letters, digits, underscores.
    #[error("malformed tag in GTID")]
    MalformedTag,
    /// An interval that is not `n` or `n-m` with 1 <= n <= m < 2^63.
    #[error("malformed interval in GTID set")]
    MalformedInterval,
    /// Not `domain-server-sequence`.
    #[error("malformed MariaDB GTID")]
    MalformedMariaDb,
    /// MySQL and MariaDB GTIDs in one set.
    #[error("MySQL and MariaDB GTIDs do not mix in one set")]
    MixedFlavors,
}

/// The `server_uuid` that originated a MySQL transaction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceUuid(pub [u8; 16]);

impl fmt::Display for SourceUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for SourceUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for SourceUuid {
    type Err = GtidError;

    /// Accepts upper and lower case, with all dashes or none, as MySQL does.
    fn from_str(text: &str) -> Result<Self, GtidError> {
        let dashed = text.len() == 36;
        if !dashed && text.len() != 32 {
            return Err(GtidError::MalformedUuid);
        }
        let mut uuid = [0; 16];
        let mut digits = 0_usize;
        for (i, byte) in text.bytes().enumerate() {
            if dashed && matches!(i, 8 | 13 | 18 | 23) {
                if byte != b'-' {
                    return Err(GtidError::MalformedUuid);
                }
                continue;
            }
            let digit = match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'f' => byte - b'a' + 10,
                b'A'..=b'F' => byte - b'A' + 10,
                _ => return Err(GtidError::MalformedUuid),
            };
            let slot = uuid.get_mut(digits / 2).ok_or(GtidError::MalformedUuid)?;
            *slot = (*slot << 4) | digit;
            digits += 1;
        }
        Ok(Self(uuid))
    }
}

/// The tag of a MySQL 8.3+ GTID, lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(String);

impl Tag {
    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Tag {
    type Err = GtidError;

    fn from_str(text: &str) -> Result<Self, GtidError> {
        let well_formed = text.len() <= MAX_TAG_CHARS
            && text.bytes().enumerate().all(|(i, byte)| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'_' => true,
                b'0'..=b'9' => i > 0,
                _ => false,
            });
        if text.is_empty() || !well_formed {
            return Err(GtidError::MalformedTag);
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

/// One MySQL transaction: `uuid:number` or `uuid:tag:number`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MySqlGtid {
    /// Originating server.
    pub source: SourceUuid,
    /// Tag, if the transaction has one.
    pub tag: Option<Tag>,
    /// Transaction number, from 1.
    pub number: u64,
}

impl fmt::Display for MySqlGtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tag {
            Some(tag) => write!(f, "{}:{tag}:{}", self.source, self.number),
            None => write!(f, "{}:{}", self.source, self.number),
        }
    }
}

/// One MariaDB transaction: `domain-server-sequence`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MariaDbGtid {
    /// Replication domain.
    pub domain_id: u32,
    /// Originating server.
    pub server_id: u32,
    /// Sequence number within the domain.
    pub sequence: u64,
}

impl fmt::Display for MariaDbGtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.domain_id, self.server_id, self.sequence)
    }
}

impl FromStr for MariaDbGtid {
    type Err = GtidError;

    fn from_str(text: &str) -> Result<Self, GtidError> {
        let mut parts = text.as_bytes().split(|byte| *byte == b'-');
        let mut number = || parts.next().and_then(digits);
        let malformed = GtidError::MalformedMariaDb;
        let (Some(domain), Some(server), Some(sequence)) = (number(), number(), number()) else {
            return Err(malformed);
        };
        match (u32::try_from(domain), u32::try_from(server), parts.next()) {
            (Ok(domain_id), Ok(server_id), None) => Ok(Self {
                domain_id,
                server_id,
                sequence,
            }),
            _ => Err(malformed),
        }
    }
}

/// One transaction of either kind of server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Gtid {
    /// MySQL.
    MySql(MySqlGtid),
    /// MariaDB.
    MariaDb(MariaDbGtid),
}

impl fmt::Display for Gtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MySql(gtid) => gtid.fmt(f),
            Self::MariaDb(gtid) => gtid.fmt(f),
        }
    }
}

impl FromStr for Gtid {
    type Err = GtidError;

    fn from_str(text: &str) -> Result<Self, GtidError> {
        let text = text.trim();
        let Some((uuid, rest)) = text.split_once(':') else {
            return text.parse().map(Self::MariaDb);
        };
        let (tag, number) = match rest.split_once(':') {
            Some((tag, number)) => (Some(tag.parse()?), number),
            None => (None, rest),
        };
        let number = decimal(number)
            .filter(|number| (1..=MAX_NUMBER).contains(number))
            .ok_or(GtidError::MalformedInterval)?;
        Ok(Self::MySql(MySqlGtid {
            source: uuid.parse()?,
            tag,
            number,
        }))
    }
}

/// Transaction numbers as disjoint, ascending, non-adjacent intervals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Intervals(Vec<Interval>);

/// `first..=last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Interval {
    first: u64,
    last: u64,
}

impl Intervals {
    fn add(&mut self, new: Interval) {
        // The common case: the next transaction of the newest interval.
        if let Some(newest) = self.0.last_mut()
            && newest.first <= new.first
            && new.first <= newest.last.saturating_add(1)
        {
            newest.last = newest.last.max(new.last);
            return;
        }
        let start = self
            .0
            .partition_point(|old| old.last.saturating_add(1) < new.first);
        let end = self
            .0
            .partition_point(|old| old.first <= new.last.saturating_add(1));
        let merged = self
            .0
            .get(start..end)
            .unwrap_or_default()
            .iter()
            .fold(new, |merged, old| Interval {
                first: merged.first.min(old.first),
                last: merged.last.max(old.last),
            });
        self.0.splice(start..end.max(start), [merged]);
    }

    fn covers(&self, wanted: Interval) -> bool {
        let at = self.0.partition_point(|own| own.last < wanted.first);
        self.0
            .get(at)
            .is_some_and(|own| own.first <= wanted.first && wanted.last <= own.last)
    }
}

/// Key order is MySQL's print order: by uuid, the untagged ones first, then by tag.
type MySqlIntervals = BTreeMap<(SourceUuid, Option<Tag>), Intervals>;

/// A set of transactions: MySQL's `gtid_executed` or MariaDB's `gtid_current_pos`.
///
/// `Display` and `FromStr` use the server's notation; so does serde.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GtidSet(Members);

/// The variants other than `Empty` are never empty, so equality is set equality.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Members {
    #[default]
    Empty,
    MySql(MySqlIntervals),
    MariaDb(BTreeMap<u32, MariaDbGtid>),
}

impl GtidSet {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing is in the set.
    pub fn is_empty(&self) -> bool {
        self.0 == Members::Empty
    }

    /// Adds one transaction. In a MariaDB domain the one added last becomes the
    /// position, also when another server continued with a lower sequence.
    ///
    /// # Errors
    /// [`GtidError::MixedFlavors`] if the set holds the other kind of server's GTIDs.
    pub fn add(&mut self, gtid: &Gtid) -> Result<(), GtidError> {
        match gtid {
            Gtid::MySql(gtid) => {
                self.add_interval(gtid.source, gtid.tag.as_ref(), gtid.number, gtid.number)
            }
            Gtid::MariaDb(gtid) => self.add_mariadb(*gtid),
        }
    }

    /// Adds the MySQL transactions `first..=last` of one source and tag.
    ///
    /// # Errors
    /// [`GtidError::MalformedInterval`] outside `1 <= first <= last < 2^63 - 1`;
    /// [`GtidError::MixedFlavors`] if the set holds MariaDB GTIDs.
    pub fn add_interval(
        &mut self,
        source: SourceUuid,
        tag: Option<&Tag>,
        first: u64,
        last: u64,
    ) -> Result<(), GtidError> {
        if first == 0 || first > last || last > MAX_NUMBER {
            return Err(GtidError::MalformedInterval);
        }
        if self.is_empty() {
            self.0 = Members::MySql(BTreeMap::new());
        }
        let Members::MySql(sources) = &mut self.0 else {
            return Err(GtidError::MixedFlavors);
        };
        sources
            .entry((source, tag.cloned()))
            .or_default()
            .add(Interval { first, last });
        Ok(())
    }

    fn add_mariadb(&mut self, gtid: MariaDbGtid) -> Result<(), GtidError> {
        if self.is_empty() {
            self.0 = Members::MariaDb(BTreeMap::new());
        }
        let Members::MariaDb(domains) = &mut self.0 else {
            return Err(GtidError::MixedFlavors);
        };
        domains.insert(gtid.domain_id, gtid);
        Ok(())
    }

    /// Whether the transaction is in the set; for MariaDB: whether its domain's
    /// position is at or past its sequence.
    pub fn contains(&self, gtid: &Gtid) -> bool {
        match (&self.0, gtid) {
            (Members::MySql(sources), Gtid::MySql(gtid)) => sources
                .get(&(gtid.source, gtid.tag.clone()))
                .is_some_and(|own| {
                    own.covers(Interval {
                        first: gtid.number,
                        last: gtid.number,
                    })
                }),
            (Members::MariaDb(domains), Gtid::MariaDb(gtid)) => domains
                .get(&gtid.domain_id)
                .is_some_and(|own| gtid.sequence <= own.sequence),
            (Members::Empty | Members::MySql(_) | Members::MariaDb(_), _) => false,
        }
    }

    /// Whether every transaction of this set is in `other`.
    pub fn is_subset(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Members::Empty, _) => true,
            (Members::MySql(own), Members::MySql(other)) => own.iter().all(|(key, intervals)| {
                other
                    .get(key)
                    .is_some_and(|other| intervals.0.iter().all(|own| other.covers(*own)))
            }),
            (Members::MariaDb(own), Members::MariaDb(other)) => own.iter().all(|(domain, gtid)| {
                other
                    .get(domain)
                    .is_some_and(|other| gtid.sequence <= other.sequence)
            }),
            (Members::MySql(_) | Members::MariaDb(_), _) => false,
        }
    }

    /// Adds every transaction of `other`; of two MariaDB positions in a domain the
    /// higher sequence stays.
    ///
    /// # Errors
    /// [`GtidError::MixedFlavors`] if the sets are of different kinds of servers.
    pub fn union(&mut self, other: &Self) -> Result<(), GtidError> {
        match &other.0 {
            Members::Empty => Ok(()),
            Members::MySql(sources) => sources.iter().try_for_each(|((source, tag), intervals)| {
                intervals.0.iter().try_for_each(|interval| {
                    self.add_interval(*source, tag.as_ref(), interval.first, interval.last)
                })
            }),
            Members::MariaDb(domains) => domains.values().try_for_each(|gtid| {
                if self.contains(&Gtid::MariaDb(*gtid)) {
                    return Ok(());
                }
                self.add_mariadb(*gtid)
            }),
        }
    }

    /// Adds the transactions of `later`, which come behind this set's in the log: in a MariaDB
    /// domain theirs becomes the position, as with [`GtidSet::add`].
    ///
    /// # Errors
    /// [`GtidError::MixedFlavors`] if the sets are of different kinds of servers.
    pub fn follow(&mut self, later: &Self) -> Result<(), GtidError> {
        if let Members::MariaDb(domains) = &later.0 {
            return domains
                .values()
                .try_for_each(|gtid| self.add_mariadb(*gtid));
        }
        self.union(later)
    }

    /// The MariaDB position of each domain; empty for a MySQL set.
    pub fn mariadb_positions(&self) -> impl Iterator<Item = MariaDbGtid> + '_ {
        let domains = match &self.0 {
            Members::MariaDb(domains) => Some(domains),
            Members::Empty | Members::MySql(_) => None,
        };
        domains.into_iter().flat_map(BTreeMap::values).copied()
    }

    /// The MySQL intervals in print order; empty for a MariaDB set.
    pub fn mysql_intervals(&self) -> impl Iterator<Item = MySqlInterval<'_>> + '_ {
        let sources = match &self.0 {
            Members::MySql(sources) => Some(sources),
            Members::Empty | Members::MariaDb(_) => None,
        };
        sources
            .into_iter()
            .flatten()
            .flat_map(|((source, tag), intervals)| {
                intervals.0.iter().map(|interval| MySqlInterval {
                    source: *source,
                    tag: tag.as_ref(),
                    first: interval.first,
                    last: interval.last,
                })
            })
    }
}

/// The transactions `first..=last` of one source and tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MySqlInterval<'a> {
    /// Originating server.
    pub source: SourceUuid,
    /// Tag, if any.
    pub tag: Option<&'a Tag>,
    /// First number, inclusive.
    pub first: u64,
    /// Last number, inclusive.
    pub last: u64,
}

impl fmt::Display for GtidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Members::Empty => Ok(()),
            Members::MySql(sources) => fmt_mysql(sources, f),
            Members::MariaDb(domains) => {
                for (i, gtid) in domains.values().enumerate() {
                    let separator = if i == 0 { "" } else { "," };
                    write!(f, "{separator}{gtid}")?;
                }
                Ok(())
            }
        }
    }
}

fn fmt_mysql(sources: &MySqlIntervals, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut previous = None;
    for ((source, tag), intervals) in sources {
        if previous != Some(source) {
            let separator = if previous.is_none() { "" } else { "," };
            write!(f, "{separator}{source}")?;
            previous = Some(source);
        }
        if let Some(tag) = tag {
            write!(f, ":{tag}")?;
        }
        for Interval { first, last } in &intervals.0 {
            if first == last {
                write!(f, ":{first}")?;
            } else {
                write!(f, ":{first}-{last}")?;
            }
        }
    }
    Ok(())
}

impl FromStr for GtidSet {
    type Err = GtidError;

    /// Accepts blanks and line breaks around commas and colons, and empty elements, as
    /// MySQL does; the empty string is the empty set.
    fn from_str(text: &str) -> Result<Self, GtidError> {
        let mut set = Self::new();
        for element in text.split(',').map(str::trim).filter(|e| !e.is_empty()) {
            if element.contains(':') {
                add_mysql_element(&mut set, element)?;
            } else {
                set.add_mariadb(element.parse()?)?;
            }
        }
        Ok(set)
    }
}

/// Adds `uuid:interval...[:tag:interval...]...`.
fn add_mysql_element(set: &mut GtidSet, element: &str) -> Result<(), GtidError> {
    let mut parts = element.split(':').map(str::trim);
    let source: SourceUuid = parts.next().unwrap_or_default().parse()?;
    let mut tag: Option<Tag> = None;
    let mut awaits_interval = true;
    for part in parts {
        if part.starts_with(|c: char| c.is_ascii_digit()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let first = decimal(first.trim()).ok_or(GtidError::MalformedInterval)?;
            let last = decimal(last.trim()).ok_or(GtidError::MalformedInterval)?;
            set.add_interval(source, tag.as_ref(), first, last)?;
            awaits_interval = false;
        } else {
            tag = Some(part.parse()?);
            awaits_interval = true;
        }
    }
    if awaits_interval {
        return Err(GtidError::MalformedInterval);
    }
    Ok(())
}

impl TryFrom<String> for GtidSet {
    type Error = GtidError;

    fn try_from(text: String) -> Result<Self, GtidError> {
        text.parse()
    }
}

impl From<GtidSet> for String {
    fn from(set: GtidSet) -> Self {
        set.to_string()
    }
}

/// Plain decimal digits only: no sign, no blanks.
fn decimal(text: &str) -> Option<u64> {
    digits(text.as_bytes())
}

fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number.checked_mul(10)?.checked_add(digit.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
    const B: &str = "4e11fa47-71ca-11e1-9e33-c80aa9429562";

    fn set(text: &str) -> GtidSet {
        text.parse().unwrap()
    }

    fn gtid(text: &str) -> Gtid {
        text.parse().unwrap()
    }

    #[test]
    fn text_round_trips_in_the_servers_notation() {
        for text in [
            "".to_owned(),
            format!("{A}:1-5:7"),
            format!("{A}:1-5:7:abc:1-3:9,{B}:x_1:4"),
            "0-1-100,7-2-5".to_owned(),
        ] {
            assert_eq!(set(&text).to_string(), text);
        }
    }

    #[test]
    fn parsing_normalises_order_case_and_blanks() {
        let upper = A.to_uppercase();
        assert_eq!(
            set(&format!(" {B}:3 ,\n{upper}:5 : 7-9:6:TAG:1:2-4,,")).to_string(),
            format!("{A}:5-9:tag:1-4,{B}:3")
        );
        assert_eq!(
            set(&format!("{}:1", A.replace('-', ""))).to_string(),
            format!("{A}:1")
        );
    }

    #[test]
    fn malformed_text_is_refused() {
        for (text, error) in [
            ("x:1".to_owned(), GtidError::MalformedUuid),
            (format!("{A}:"), GtidError::MalformedTag),
            (format!("{A}:0"), GtidError::MalformedInterval),
            (format!("{A}:3-2"), GtidError::MalformedInterval),
            (format!("{A}:1-"), GtidError::MalformedInterval),
            (format!("{A}:1x"), GtidError::MalformedInterval),
            (
                format!("{A}:9223372036854775807"),
                GtidError::MalformedInterval,
            ),
            (format!("{A}:tag"), GtidError::MalformedInterval),
            (format!("{A}:a-b:1"), GtidError::MalformedTag),
            ("0-1".to_owned(), GtidError::MalformedMariaDb),
            ("0-1-2-3".to_owned(), GtidError::MalformedMariaDb),
            ("4294967296-1-2".to_owned(), GtidError::MalformedMariaDb),
            ("0-1-+2".to_owned(), GtidError::MalformedMariaDb),
            (format!("0-1-2,{A}:1"), GtidError::MixedFlavors),
        ] {
            assert_eq!(text.parse::<GtidSet>(), Err(error), "{text}");
        }
    }

    #[test]
    fn added_transactions_join_intervals() {
        let mut executed = GtidSet::new();
        for number in [5, 1, 2, 9, 4, 3, 8] {
            executed.add(&gtid(&format!("{A}:{number}"))).unwrap();
        }
        executed.add(&gtid(&format!("{A}:t:1"))).unwrap();
        assert_eq!(executed.to_string(), format!("{A}:1-5:8-9:t:1"));
        executed
            .add_interval(A.parse().unwrap(), None, 4, 20)
            .unwrap();
        assert_eq!(executed.to_string(), format!("{A}:1-20:t:1"));
    }

    #[test]
    fn intervals_agree_with_a_naive_set() {
        let mut state = 7_u64;
        for _ in 0..200 {
            let mut intervals = Intervals::default();
            let mut naive = std::collections::BTreeSet::new();
            for _ in 0..12 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let first = 1 + (state >> 33) % 40;
                let last = first + (state >> 50) % 6;
                intervals.add(Interval { first, last });
                naive.extend(first..=last);
                let flat: Vec<u64> = intervals.0.iter().flat_map(|i| i.first..=i.last).collect();
                assert_eq!(flat, naive.iter().copied().collect::<Vec<_>>());
                assert!(intervals.0.windows(2).all(|w| w[0].last + 1 < w[1].first));
            }
        }
    }

    #[test]
    fn subset_and_contains_look_at_source_and_tag() {
        let executed = set(&format!("{A}:1-5:8-9:t:1-3,{B}:1"));
        assert!(set(&format!("{A}:2-3:8:t:3")).is_subset(&executed));
        assert!(GtidSet::new().is_subset(&executed));
        assert!(!set(&format!("{A}:5-8")).is_subset(&executed));
        assert!(!set(&format!("{B}:t:1")).is_subset(&executed));
        assert!(executed.contains(&gtid(&format!("{A}:t:2"))));
        assert!(!executed.contains(&gtid(&format!("{A}:t:4"))));
        assert!(!executed.contains(&gtid("0-1-1")));
    }

    #[test]
    fn mariadb_positions_compare_per_domain() {
        let position = set("0-1-100,1-1-7");
        assert!(position.contains(&gtid("0-2-100")));
        assert!(!position.contains(&gtid("0-1-101")));
        assert!(!position.contains(&gtid("2-1-1")));
        assert!(set("0-2-99").is_subset(&position));
        assert!(!set("0-2-99,2-1-1").is_subset(&position));
        let mut joined = position.clone();
        joined.union(&set("0-3-50,1-9-8,4-1-1")).unwrap();
        assert_eq!(joined.to_string(), "0-1-100,1-9-8,4-1-1");
    }

    #[test]
    fn union_joins_and_refuses_the_other_kind() {
        let mut executed = set(&format!("{A}:1-3"));
        executed.union(&set(&format!("{A}:4:t:1,{B}:2"))).unwrap();
        assert_eq!(executed.to_string(), format!("{A}:1-4:t:1,{B}:2"));
        assert_eq!(executed.union(&set("0-1-1")), Err(GtidError::MixedFlavors));
        let text = serde_json::to_string(&executed).unwrap();
        assert_eq!(serde_json::from_str::<GtidSet>(&text).unwrap(), executed);
    }
}
