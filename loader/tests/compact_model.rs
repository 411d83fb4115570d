//! The merge against naive replay: whatever the history and however it is cut into rounds,
//! applying the net changes gives the table that the source had.

use std::collections::BTreeMap;
use std::sync::Arc;

use common::position::{BinlogPosition, LogId, TimelineId};
use common::staging::codec::{self, CommitLine, Passed, RowMark};
use common::table::{Column, ColumnType, DefinitionId, Key, TableDefinition, TableName};
use loader::compact::{Compactor, Limits, Pause};
use loader::coverage::Coverage;
use loader::progress::{Progress, Timeline};
use loader::round::{Contradictions, First, Net, Overlap, Round};
use proptest::prelude::*;

use crate::staged::{int, varchar};

/// Keyed by (a, b), which are the second and third column.
const KEYED: DefinitionId = DefinitionId(1);
const KEYLESS: DefinitionId = DefinitionId(2);

type Key2 = (u8, u8);

/// What a random number does to the source; it only does what the source's state allows.
#[derive(Clone, Debug)]
enum Step {
    Insert(Key2, Option<u8>),
    Update(usize, Option<u8>),
    ChangeKey(usize, Key2),
    Swap(usize, usize),
    Delete(usize),
    AddRow(u8),
    RemoveRow(usize),
    ChangeRow(usize, u8),
    Commit,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = (0..4_u8, 0..3_u8);
    let value = proptest::option::of(0..200_u8);
    let any = 0..64_usize;
    let step = prop_oneof![
        4 => (key.clone(), value.clone()).prop_map(|(key, value)| Step::Insert(key, value)),
        3 => (any.clone(), value).prop_map(|(at, value)| Step::Update(at, value)),
        3 => (any.clone(), key).prop_map(|(at, key)| Step::ChangeKey(at, key)),
        1 => (any.clone(), any.clone()).prop_map(|(a, b)| Step::Swap(a, b)),
        2 => any.clone().prop_map(Step::Delete),
        2 => (0..3_u8).prop_map(Step::AddRow),
        1 => any.clone().prop_map(Step::RemoveRow),
        1 => (any, 0..3_u8).prop_map(|(at, value)| Step::ChangeRow(at, value)),
        3 => Just(Step::Commit),
    ];
    proptest::collection::vec(step, 0..120)
}

/// The tables as the source has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Tables {
    keyed: BTreeMap<Vec<u8>, Vec<u8>>,
    keyless: BTreeMap<Vec<u8>, u32>,
}

/// The source, which writes its binlog.
#[derive(Default)]
struct Source {
    tables: Tables,
    text: Vec<u8>,
    lines: u64,
    transactions: u64,
}

/// Composite keys; some are wide, and alike but for their ends, some as long as fits into an
/// entry, or a byte longer.
fn key_cells((a, b): Key2) -> Vec<u8> {
    let wide = "w".repeat(match b % 3 {
        0 => 0,
        1 => 8 + usize::from(a % 2),
        _ => 3000,
    });
    format!("{a}\t{wide}b{b}\\\\").into_bytes()
}

/// Rows of different length, so that some grow and some shrink in place.
fn row(key: Key2, value: Option<u8>) -> Vec<u8> {
    let value = value.map_or_else(
        || "\\N".into(),
        |value| "v".repeat(usize::from(value % 40) + 1),
    );
    with_key(value.as_bytes(), &key_cells(key))
}

impl Source {
    fn line(&mut self, mark: RowMark, table: DefinitionId, groups: &[&[u8]]) {
        codec::begin_row(&mut self.text, mark, table);
        for group in groups {
            self.text.push(b'\t');
            self.text.extend_from_slice(group);
        }
        self.text.push(b'\n');
        self.lines += 1;
    }

    fn nth_key(&self, at: usize) -> Option<Vec<u8>> {
        let count = self.tables.keyed.len();
        (count > 0).then(|| self.tables.keyed.keys().nth(at % count).unwrap().clone())
    }

    fn nth_row(&self, at: usize) -> Option<Vec<u8>> {
        let rows: Vec<_> = self.tables.keyless.keys().collect();
        (!rows.is_empty()).then(|| rows[at % rows.len()].clone())
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Insert(key, value) => {
                let (cells, row) = (key_cells(*key), row(*key, *value));
                if !self.tables.keyed.contains_key(&cells) {
                    self.line(RowMark::Insert, KEYED, &[&row]);
                    self.tables.keyed.insert(cells, row);
                }
            }
            Step::Update(at, value) => {
                if let Some(cells) = self.nth_key(*at) {
                    let row = with_key(&row((0, 0), *value), &cells);
                    if at % 2 == 0 {
                        self.line(RowMark::Update, KEYED, &[&row]);
                    } else {
                        let before = self.tables.keyed[&cells].clone();
                        self.line(RowMark::UpdateFull, KEYED, &[&row, &before]);
                    }
                    self.tables.keyed.insert(cells, row);
                }
            }
            Step::ChangeKey(at, key) => {
                if let Some(old) = self.nth_key(*at) {
                    self.change_key(&old, &key_cells(*key));
                }
            }
            Step::Swap(a, b) => {
                if let (Some(a), Some(b)) = (self.nth_key(*a), self.nth_key(*b))
                    && a != b
                {
                    let free = key_cells((9, 9));
                    self.change_key(&a, &free);
                    self.change_key(&b, &a);
                    self.change_key(&free, &b);
                }
            }
            Step::Delete(at) => {
                if let Some(cells) = self.nth_key(*at) {
                    let before = self.tables.keyed.remove(&cells).unwrap();
                    if at % 2 == 0 {
                        self.line(RowMark::Delete, KEYED, &[&cells]);
                    } else {
                        self.line(RowMark::DeleteFull, KEYED, &[&before]);
                    }
                }
            }
            Step::AddRow(value) => {
                let row = format!("r{value}\t\\N").into_bytes();
                self.line(RowMark::Insert, KEYLESS, &[&row]);
                *self.tables.keyless.entry(row).or_default() += 1;
            }
            Step::RemoveRow(at) => {
                if let Some(row) = self.nth_row(*at) {
                    self.line(RowMark::DeleteFull, KEYLESS, &[&row]);
                    remove_one(&mut self.tables.keyless, &row);
                }
            }
            Step::ChangeRow(at, value) => {
                if let Some(old) = self.nth_row(*at) {
                    let new = format!("r{value}\t\\N").into_bytes();
                    self.line(RowMark::UpdateFull, KEYLESS, &[&new, &old]);
                    remove_one(&mut self.tables.keyless, &old);
                    *self.tables.keyless.entry(new).or_default() += 1;
                }
            }
            Step::Commit => self.commit(),
        }
    }

    fn change_key(&mut self, old: &[u8], new: &[u8]) {
        if old == new || self.tables.keyed.contains_key(new) {
            return;
        }
        let row = with_key(&self.tables.keyed.remove(old).unwrap(), new);
        self.line(RowMark::UpdateKey, KEYED, &[&row, old]);
        self.tables.keyed.insert(new.to_vec(), row);
    }

    fn commit(&mut self) {
        self.transactions += 1;
        CommitLine {
            transaction_seq: self.transactions,
            file: "f.000001",
            offset: 4 + 10 * self.transactions,
            gtid: "",
            committed_at_us: 1,
            event_count: self.lines,
            passed: Passed::Nothing,
        }
        .write(&mut self.text);
        self.lines = 0;
    }
}

/// The row with another key: its first cell, then the key's cells.
fn with_key(row: &[u8], key: &[u8]) -> Vec<u8> {
    let value = row.split(|&byte| byte == b'\t').next().unwrap();
    [value, key].join(&b'\t')
}

fn remove_one(rows: &mut BTreeMap<Vec<u8>, u32>, row: &[u8]) {
    let count = rows.get_mut(row).expect("the row is there");
    *count -= 1;
    if *count == 0 {
        rows.remove(row);
    }
}

/// The target, which has a primary key and so refuses what is there already.
fn apply(round: &Round, target: &mut Tables) {
    for table in round.tables() {
        let keyed = table.layout.id == KEYED;
        let mut last: Option<Vec<u8>> = None;
        for net in round.changes(table) {
            let straight = round.overlap == Overlap::Exact;
            match net {
                Net::Upsert {
                    first: First::Insert,
                    ..
                } if straight => {}
                Net::Upsert { key, .. } | Net::Delete { key } => {
                    target.keyed.remove(key);
                }
                Net::Rows { row, deletes, .. } => {
                    for _ in 0..deletes {
                        remove_one(&mut target.keyless, row);
                    }
                }
            }
            if let Net::Upsert { key, .. } | Net::Delete { key } = net {
                let before = last.replace(key.to_vec());
                if let Some(before) = before {
                    let order = table.layout.compare_keys(&before, key);
                    assert!(order.is_lt(), "keys come in order, each once");
                }
            }
        }
        for net in round.changes(table) {
            match net {
                Net::Upsert { key, row, .. } => {
                    assert!(keyed);
                    let old = target.keyed.insert(key.to_vec(), row.to_vec());
                    assert!(old.is_none(), "an insert meets a row that is there");
                }
                Net::Rows { row, inserts, .. } if inserts > 0 => {
                    *target.keyless.entry(row.to_vec()).or_default() += inserts;
                }
                Net::Rows { .. } | Net::Delete { .. } => {}
            }
        }
    }
}

fn start(consistent_from: Option<&str>) -> Progress {
    Progress {
        timeline: Arc::new(Timeline {
            id: TimelineId("t".into()),
            log_id: LogId("l".into()),
            consistent_from: consistent_from.map(|position| position.parse().unwrap()),
        }),
        position: "f.000001:4".parse().unwrap(),
        gtid_set: None,
        transaction_seq: 0,
        event_seq: 0,
        committed_at_us: None,
    }
}

fn define(compactor: &mut Compactor) {
    let columns = |columns: &[(&str, ColumnType)]| {
        columns
            .iter()
            .map(|(name, column_type)| Column {
                name: (*name).into(),
                column_type: column_type.clone(),
                nullable: true,
                generated: false,
                unlogged: false,
            })
            .collect()
    };
    compactor.define(
        KEYED,
        TableDefinition {
            name: TableName::new("d", "keyed"),
            columns: columns(&[("v", varchar(40)), ("a", int()), ("b", varchar(9))]),
            key: Key::Primary(vec![1, 2]),
        },
    );
    compactor.define(
        KEYLESS,
        TableDefinition {
            name: TableName::new("d", "keyless"),
            columns: columns(&[("v", varchar(9)), ("w", int())]),
            key: Key::None,
        },
    );
}

/// Merges the text into rounds, cut where `cuts` says, and applies them.
fn replay(text: &[u8], batch_bytes: usize, overlapping: bool, cuts: &[bool], target: &mut Tables) {
    let start = start(overlapping.then_some("f.000009:4"));
    let compactor = Compactor::new(limits(batch_bytes, None), start);
    replay_with(compactor, text, cuts, target);
}

fn limits(batch_bytes: usize, stop_at: Option<u64>) -> Limits {
    Limits {
        batch_bytes,
        stop_at: stop_at.map(end_of),
        contradictions: Contradictions::Stop,
    }
}

/// The end of a transaction.
fn end_of(transaction_seq: u64) -> BinlogPosition {
    format!("f.000001:{}", 4 + 10 * transaction_seq)
        .parse()
        .unwrap()
}

/// The same, of the transactions behind `from` up to `until`, for tables that have what
/// `coverage` says.
fn replay_part(
    text: &[u8],
    (from, until): (u64, u64),
    coverage: Coverage,
    cuts: &[bool],
    target: &mut Tables,
) {
    if from == until {
        return;
    }
    let start = Progress {
        position: end_of(from),
        transaction_seq: from,
        ..start(None)
    };
    let compactor = Compactor::new(limits(700, Some(until)), start).with_coverage(coverage);
    replay_with(compactor, text, cuts, target);
}

fn replay_with(mut compactor: Compactor, text: &[u8], cuts: &[bool], target: &mut Tables) {
    define(&mut compactor);
    compactor.begin_text(1, 1).unwrap();
    let mut rest = text;
    let mut cuts = cuts.iter().cycle();
    let mut spare = Round::default();
    loop {
        let (left, pause) = compactor.read(rest).unwrap();
        rest = left;
        let cut = match pause {
            Pause::Split | Pause::MustEnd | Pause::Stop => true,
            Pause::MayEnd => *cuts.next().unwrap(),
            Pause::NeedText => break,
        };
        if pause == Pause::Stop {
            break;
        }
        if cut {
            let mut round = compactor.take_round(std::mem::take(&mut spare));
            apply(&round, target);
            // Large ones give their memory back.
            round.clear(3000);
            spare = round;
        }
    }
    apply(&compactor.take_round(spare), target);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn any_history_in_any_rounds_gives_the_source_s_table(
        steps in steps(),
        batch_bytes in prop_oneof![Just(1_usize), 200..2000_usize, Just(1 << 20)],
        cuts in proptest::collection::vec(any::<bool>(), 1..8),
    ) {
        let mut source = Source::default();
        steps.iter().for_each(|step| source.step(step));
        source.commit();
        let mut target = Tables::default();
        replay(&source.text, batch_bytes, false, &cuts, &mut target);
        prop_assert_eq!(target, source.tables);
    }

    #[test]
    fn a_table_that_is_held_back_and_catches_up_in_steps_comes_out_like_the_others(
        steps in steps(),
        held in any::<bool>(),
        points in proptest::collection::vec(0..1000_u64, 5),
        cuts in proptest::collection::vec(any::<bool>(), 1..8),
    ) {
        let mut source = Source::default();
        steps.iter().for_each(|step| source.step(step));
        source.commit();
        let last = source.transactions;
        let mut points: Vec<u64> = points.iter().map(|point| point % (last + 1)).collect();
        points.sort_unstable();
        // Paused, resumed, newly begun to catch up after a fault in between, listed, all done.
        let [paused, partly, resumed, ..] = points[..] else { unreachable!() };
        let name = TableName::new("d", if held { "keyed" } else { "keyless" });
        let mut target = Tables::default();
        replay_part(&source.text, (0, paused), Coverage::new(0), &cuts, &mut target);
        let before = target.clone();
        let mut coverage = Coverage::new(paused);
        coverage.leave_out(name.clone());
        replay_part(&source.text, (paused, resumed), coverage, &cuts, &mut target);
        // The held table has not moved.
        if held {
            prop_assert_eq!(&target.keyed, &before.keyed);
        } else {
            prop_assert_eq!(&target.keyless, &before.keyless);
        }
        for (from, until) in [(paused, partly), (partly, last)] {
            let mut coverage = Coverage::new(resumed);
            coverage.set(name.clone(), from);
            replay_part(&source.text, (from, until), coverage, &cuts, &mut target);
        }
        prop_assert_eq!(target, source.tables);
    }

    #[test]
    fn an_earlier_load_that_overlaps_the_history_changes_nothing(
        before in steps(),
        after in steps(),
        cuts in proptest::collection::vec(any::<bool>(), 1..8),
    ) {
        // The target was loaded after `before`; the stream repeats it.
        let keyed = |step: &&Step| !matches!(step, Step::AddRow(_) | Step::RemoveRow(_) | Step::ChangeRow(..));
        let mut source = Source::default();
        before.iter().filter(keyed).for_each(|step| source.step(step));
        source.commit();
        let mut target = source.tables.clone();
        after.iter().filter(keyed).for_each(|step| source.step(step));
        source.commit();
        replay(&source.text, 500, true, &cuts, &mut target);
        prop_assert_eq!(target, source.tables);
    }
}

/// Net bytes at which a round of such transactions ends, beside another one of so many.
fn full_at(beside: usize, line: impl Fn(u64) -> (RowMark, u64)) -> usize {
    let mut source = Source::default();
    for number in 0..3000 {
        let (mark, id) = line(number);
        source.line(mark, KEYED, &[format!("value\t{id}\tb").as_bytes()]);
        source.commit();
    }
    let mut compactor = Compactor::new(limits(10_000, None), start(None));
    compactor.give_room(beside);
    define(&mut compactor);
    compactor.begin_text(1, 1).unwrap();
    let mut rest = &source.text[..];
    loop {
        let (behind, pause) = compactor.read(rest).unwrap();
        match pause {
            Pause::MayEnd => rest = behind,
            Pause::MustEnd => return compactor.round().net_bytes(),
            Pause::NeedText | Pause::Stop | Pause::Split => panic!("{pause:?}"),
        }
    }
}

#[test]
fn a_round_that_gains_by_it_grows_as_far_as_memory_goes() {
    let insert = |number| (RowMark::Insert, number);
    let update = |number| (RowMark::Update, number);
    // A tenth of the inserted rows are changed at once.
    let merging = |number: u64| match number % 11 {
        10 => (RowMark::Update, number - 1),
        _ => (RowMark::Insert, number),
    };
    // The last change is some 100 bytes.
    let is_at = |found: usize, expected: usize| (expected..expected + 200).contains(&found);
    for beside in [0, 30_000, 90_000] {
        assert!(is_at(full_at(beside, insert), 10_000));
    }
    for (beside, most) in [
        (0, 50_000),
        (10_000, 50_000),
        (25_000, 35_000),
        (50_000, 10_000),
        (90_000, 10_000),
    ] {
        assert!(is_at(full_at(beside, update), most), "beside {beside}");
        assert!(is_at(full_at(beside, merging), most), "beside {beside}");
    }
}

fn read(text: &str) -> Result<Pause, loader::compact::CompactError> {
    let mut compactor = Compactor::new(
        Limits {
            batch_bytes: 1 << 20,
            stop_at: None,
            contradictions: Contradictions::Stop,
        },
        start(None),
    );
    define(&mut compactor);
    compactor.begin_text(1, 1)?;
    compactor.read(text.as_bytes()).map(|(_, pause)| pause)
}

#[test]
fn what_contradicts_itself_stops_with_table_and_position() {
    for (text, part) in [
        ("I1\tx\t1\tb\nI1\ty\t1\tb\n", "inserts a key"),
        ("D1\t1\tb\nD1\t1\tb\n", "changes a key"),
        ("D1\t1\tb\nU1\tx\t1\tb\n", "changes a key"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(
            error.contains(part) && error.contains("d.keyed") && error.contains("f.000001:4"),
            "{error}"
        );
    }
}

#[test]
fn damaged_staging_stops() {
    for text in [
        "I1\tx\t1\tb",
        "I1\tx\t1\n",
        "I9\tx\t1\tb\n",
        "K1\tx\t1\tb\n",
        "U2\tx\t1\n",
        "I1\tx\t1\tb\nC1\tf.000001\t14\t\t1\t2\t\n",
        "C2\tf.000001\t14\t\t1\t0\t\n",
        "C1\tf.000001\t3\t\t1\t0\t\n",
    ] {
        assert!(read(text).is_err(), "{text:?}");
    }
}

#[test]
fn a_statement_stops_at_its_own_position() {
    let error = read("S\td\tkeyed\talter table keyed\\n add x int\nC1\tf.000001\t14\t\t1\t1\t\n")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("f.000001:14") && error.contains("alter table keyed add x int"),
        "{error}"
    );
}

#[test]
fn the_gtids_up_to_the_end_are_known_exactly_or_not_at_all() {
    let source = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
    for (lines, expected) in [
        // The base is the checkpoint's.
        (vec![(3, "")], Some("1-3")),
        (vec![(3, ""), (9, ":4-8")], Some("1-9")),
        // A miner that starts tells all again.
        (vec![(3, ""), (5, "=1-5"), (6, "")], Some("1-6")),
        (vec![(3, "?"), (4, "")], None),
        (vec![(3, "?"), (4, "=1-4"), (5, "")], Some("1-5")),
        (vec![(0, ""), (4, "")], None),
    ] {
        let mut start = start(None);
        start.gtid_set = Some(format!("{source}:1-2"));
        let mut compactor = Compactor::new(
            Limits {
                batch_bytes: 1 << 20,
                stop_at: None,
                contradictions: Contradictions::Stop,
            },
            start,
        );
        define(&mut compactor);
        compactor.begin_text(1, 1).unwrap();
        let mut text = String::new();
        for (number, (gtid, passed)) in (1..).zip(&lines) {
            let gtid = if *gtid == 0 {
                String::new()
            } else {
                format!("{source}:{gtid}")
            };
            let passed = match passed.strip_prefix('=') {
                Some(all) => format!("={source}:{all}"),
                None if passed.starts_with(':') => format!("{source}{passed}"),
                None => (*passed).to_owned(),
            };
            text += &format!(
                "C{number}\tf.000001\t{}\t{gtid}\t1\t0\t{passed}\n",
                10 + number
            );
        }
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            rest = compactor.read(rest).unwrap().0;
        }
        assert_eq!(
            compactor.end_with_gtids().gtid_set,
            expected.map(|set| format!("{source}:{set}")),
            "{lines:?}"
        );
    }
}
