//! Staged rows of twelve columns, their merge and their way to a target table, for benchmarks
//! and for counting allocations.

use std::io::Write as _;
use std::sync::Arc;

use common::position::{LogId, TimelineId};
use common::settings::{EmptyString, ZeroDate};
use common::staging::codec::{CommitLine, Passed};
use common::table::{
    Column, ColumnType, DefinitionId, IntegerWidth, Key, Sign, TableDefinition, TableName,
};
use loader::compact::{Compactor, Limits, Pause};
use loader::progress::{Progress, Timeline};
use loader::round::{Contradictions, Round};
use loader::route::{Encoder, Route, Router, ValuePolicy};
use loader::target::Dialect;
use loader::target::catalog::{Fill, RelationKind, TargetColumn, TargetTable};

const TABLE: DefinitionId = DefinitionId(1);

fn definition() -> TableDefinition {
    use IntegerWidth::{Big, Int, Small, Tiny};
    let integer = |width| ColumnType::Integer {
        width,
        sign: Sign::Signed,
    };
    let varchar = |max_chars| ColumnType::Varchar {
        max_chars,
        charset: "utf8mb4".to_owned(),
    };
    let decimal = ColumnType::Decimal {
        precision: 14,
        scale: 4,
    };
    let types = [
        integer(Big),
        integer(Int),
        integer(Small),
        integer(Tiny),
        ColumnType::Double,
        decimal,
        ColumnType::DateTime { digits: 3 },
        ColumnType::Date,
        ColumnType::Timestamp { digits: 0 },
        varchar(40),
        varchar(10),
        varchar(20),
    ];
    let columns = (1..).zip(types).map(|(number, column_type)| Column {
        name: format!("c{number}"),
        column_type,
        nullable: number > 1,
        generated: false,
        unlogged: false,
    });
    TableDefinition {
        name: TableName::new("shop", "orders"),
        columns: columns.collect(),
        key: Key::Primary(vec![0]),
    }
}

/// Transaction `number` with so many updates of so many keys.
pub(crate) fn text(number: u64, rows: u32, keys: u32) -> Vec<u8> {
    let mut text = Vec::new();
    for n in 0..rows {
        let key = n % keys * 7919 % keys;
        writeln!(
            text,
            "U1\t{key}\t{}\t{}\t3\t{}.5\t{n}.0815\t2024-05-17 12:34:56.123\t2024-05-17\t2023-11-14 22:13:20+00\t\
             some words of ordinary t\tgröße\t0123456789",
            n * 977,
            n % 30_000,
            n * 13
        )
        .unwrap();
    }
    CommitLine {
        transaction_seq: number,
        file: "f.000001",
        offset: 4 + 10 * number,
        gtid: "",
        committed_at_us: 1,
        event_count: u64::from(rows),
        passed: Passed::Nothing,
    }
    .write(&mut text);
    text
}

/// Merges transactions, each into a round of its own.
pub(crate) struct Merger {
    compactor: Compactor,
}

impl Merger {
    pub(crate) fn new() -> Self {
        let limits = Limits {
            batch_bytes: 1 << 30,
            stop_at: None,
            contradictions: Contradictions::Stop,
        };
        let start = Progress {
            timeline: Arc::new(Timeline {
                id: TimelineId("t".into()),
                log_id: LogId("l".into()),
                consistent_from: None,
            }),
            position: "f.000001:4".parse().unwrap(),
            gtid_set: None,
            transaction_seq: 0,
            event_seq: 0,
            committed_at_us: None,
        };
        let mut compactor = Compactor::new(limits, start);
        compactor.define(TABLE, definition());
        compactor.begin_text(1, 1).unwrap();
        Self { compactor }
    }

    /// The text's net changes, in the spare round's memory.
    pub(crate) fn merge(&mut self, text: &[u8], spare: Round) -> Round {
        let mut rest = text;
        loop {
            let (left, pause) = self.compactor.read(rest).unwrap();
            rest = left;
            match pause {
                Pause::NeedText => return self.compactor.take_round(spare),
                Pause::MayEnd => {}
                Pause::Split | Pause::MustEnd | Pause::Stop => panic!("the limits are wide"),
            }
        }
    }
}

/// The columns' types on the target.
const TARGET: [(&str, Encoder); 12] = [
    ("int8", Encoder::BigInt),
    ("int4", Encoder::Integer),
    ("int2", Encoder::SmallInt),
    ("int2", Encoder::SmallInt),
    ("float8", Encoder::Double),
    ("numeric", Encoder::Numeric),
    ("timestamp", Encoder::Timestamp),
    ("date", Encoder::Date),
    ("timestamptz", Encoder::TimestampTz),
    ("text", Encoder::Text),
    ("text", Encoder::Text),
    ("text", Encoder::Text),
];

pub(crate) fn encoders() -> [Encoder; 12] {
    TARGET.map(|(_, encoder)| encoder)
}

/// The way into a table of these types.
pub(crate) fn route() -> Route {
    let columns = (1..)
        .zip(TARGET)
        .map(|(number, (type_name, _))| TargetColumn {
            name: format!("c{number}"),
            type_name: type_name.into(),
            is_enum: false,
            type_modifier: -1,
            type_text: type_name.into(),
            base_type_text: type_name.into(),
            not_null: false,
            fill: Fill::Null,
            deterministic: true,
        });
    let target = TargetTable {
        oid: 1,
        schema: "public".into(),
        name: "orders".into(),
        kind: RelationKind::Table,
        writable: true,
        truncatable: true,
        columns: columns.collect(),
        indexes: Vec::new(),
        hazards: Vec::new(),
        deferrable: Vec::new(),
        dialect: Dialect::PostgreSql,
        placement: None,
    };
    let policy = ValuePolicy {
        zero_date: ZeroDate::Null,
        empty_string: EmptyString::Keep,
        time_zone_minutes: 0,
    };
    let router = Router::new(&[], "public", policy);
    router.route(&definition(), target).unwrap()
}
