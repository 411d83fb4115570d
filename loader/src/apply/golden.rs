//! Every statement that a target is sent, for each kind of server, as files.
//!
//! `MYSQL2GP_BLESS=1 cargo test -p loader --lib golden` writes `tests/golden/*.sql`; their
//! differences are to be read. That the statements do what they should is shown on a real server
//! by the tests of each dialect, as far as PostgreSQL takes them.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use common::check::Finding;
use common::position::{BinlogPosition, LogId, TimelineId};
use common::settings::{EmptyString, ZeroDate};
use common::table::{Column, ColumnType, IntegerWidth, Key, Sign, TableDefinition, TableName};

use super::binary::Format;
use super::statements::{ALLOW_SCAN, FORBID_SCAN, copy_statement, lock_ahead};
use super::table::Effect;
use super::{constants, keyless, keys, replace, temporary};
use crate::progress::{Progress, Timeline};
use crate::route::{Route, Router, ValuePolicy};
use crate::target::catalog::{self, Fill, RelationKind, TargetColumn, TargetIndex, TargetTable};
use crate::target::dialect::{
    Commit, Compatibility, Dates, Dialect, EmptyText, KeysBy, Lengths, Replacing,
};
use crate::target::placement::{Distribution, Placement, Storage};
use crate::target::session::{checkpoint_stays, checkpoint_update};
use crate::target::{behind, findings};

/// A dialect, the name of its file, and how it is called there.
fn dialects() -> Vec<(Dialect, &'static str)> {
    let compatibility = |empty_text, lengths, dates| Compatibility {
        empty_text,
        lengths,
        dates,
    };
    vec![
        (Dialect::PostgreSql, "postgresql"),
        (Dialect::Greenplum6, "greenplum6"),
        (Dialect::Greenplum7, "greenplum7"),
        (Dialect::Cloudberry, "cloudberry"),
        (
            Dialect::OpenGauss(compatibility(
                EmptyText::Null,
                Lengths::Bytes,
                Dates::Timestamp,
            )),
            "opengauss_a",
        ),
        (
            Dialect::OpenGauss(compatibility(
                EmptyText::Kept,
                Lengths::Characters,
                Dates::Date,
            )),
            "opengauss_pg",
        ),
    ]
}

fn column(name: &str, column_type: ColumnType) -> Column {
    Column {
        name: name.into(),
        column_type,
        nullable: true,
        generated: false,
        unlogged: false,
    }
}

fn target_column(name: &str, type_name: &str, type_text: &str) -> TargetColumn {
    TargetColumn {
        name: name.into(),
        type_name: type_name.into(),
        is_enum: false,
        type_modifier: -1,
        type_text: type_text.into(),
        base_type_text: type_text.into(),
        not_null: name == "id" || name == "shop",
        fill: if name == "extra" {
            Fill::Default
        } else {
            Fill::Null
        },
        deterministic: true,
    }
}

/// A table with `id`, `shop`, `name` and `ratio`, and `extra` on the target only.
fn route(dialect: Dialect, name: &str, key: Vec<usize>, distribution: Distribution) -> Route {
    let definition = TableDefinition {
        name: TableName::new("shop", name),
        columns: vec![
            column(
                "id",
                ColumnType::Integer {
                    width: IntegerWidth::Int,
                    sign: Sign::Signed,
                },
            ),
            column(
                "shop",
                ColumnType::Varchar {
                    max_chars: 20,
                    charset: "utf8mb4".into(),
                },
            ),
            column(
                "name",
                ColumnType::Text {
                    charset: "utf8mb4".into(),
                },
            ),
            column("ratio", ColumnType::Double),
        ],
        key: if key.is_empty() {
            Key::None
        } else {
            Key::Primary(key.clone())
        },
    };
    let names = |numbers: &[usize]| {
        let columns = numbers
            .iter()
            .filter_map(|&number| definition.columns.get(number));
        columns
            .map(|column| column.name.clone())
            .collect::<Vec<_>>()
    };
    let target = TargetTable {
        oid: 1,
        schema: "public".into(),
        name: name.into(),
        kind: RelationKind::Table,
        writable: true,
        truncatable: true,
        columns: vec![
            target_column("id", "int4", "integer"),
            target_column("shop", "varchar", "character varying"),
            target_column("name", "text", "text"),
            target_column("ratio", "float8", "double precision"),
            target_column("extra", "int4", "integer"),
        ],
        indexes: match key.is_empty() {
            true => Vec::new(),
            false => vec![TargetIndex {
                unique: true,
                immediate: true,
                columns: names(&key),
            }],
        },
        hazards: Vec::new(),
        deferrable: Vec::new(),
        dialect,
        placement: dialect.is_distributed().then_some(Placement {
            distribution: Some(distribution),
            storage: Storage::Heap,
        }),
    };
    let policy = ValuePolicy {
        zero_date: ZeroDate::Null,
        empty_string: EmptyString::Keep,
        time_zone_minutes: 0,
    };
    Router::new(&[], "public", policy)
        .route(&definition, target)
        .unwrap()
}

/// The same on append-optimized storage.
fn append_optimized(mut route: Route) -> Route {
    if let Some(placement) = &mut route.target.placement {
        placement.storage = Storage::AppendOptimized;
    }
    route
}

fn by(column: &str) -> Distribution {
    Distribution::By {
        columns: vec![column.into()],
        clause: format!("DISTRIBUTED BY ({column})"),
    }
}

/// Text that a golden file is written into.
struct Golden(String);

impl Golden {
    fn title(&mut self, title: &str) {
        let _ = writeln!(self.0, "\n-- {title}");
    }

    fn statement(&mut self, statement: &str) {
        let lines = statement.lines().map(str::trim_end);
        let code: Vec<&str> = lines
            .filter(|line| !line.trim_start().starts_with("--") && !line.is_empty())
            .collect();
        if !code.is_empty() {
            let _ = writeln!(self.0, "{};", code.join("\n").trim_end_matches([';', ' ']));
        }
    }

    fn any(&mut self, statement: Option<String>) {
        if let Some(statement) = statement {
            self.statement(&statement);
        }
    }

    fn statements<'s>(&mut self, title: &str, statements: impl IntoIterator<Item = &'s str>) {
        self.title(title);
        for statement in statements {
            self.statement(statement);
        }
    }

    /// What `check` says of the table.
    fn findings(&mut self, route: &Route) {
        for Finding { verdict, text } in findings::of_table(route) {
            let _ = writeln!(self.0, "-- check: {verdict:?}: {text}");
        }
    }

    fn keyed(&mut self, title: &str, route: &Route) {
        let dialect = route.target.dialect;
        self.title(title);
        self.findings(route);
        match dialect.keys_by() {
            KeysBy::Arrays => self.statement(&keys::delete_by_arrays(route)),
            KeysBy::Table => {
                let name = keys::table_name(1);
                self.statement(&keys::create_table(route, &name));
                self.any(dialect.make_sure_empty(&name));
                self.statement(&format!("copy pg_temp.{name} from stdin"));
                self.statement(&keys::delete_by_table(route, &name));
                self.statement(&temporary::clear(&name));
            }
        }
        self.statement(&copy_statement(route, Format::Text));
        if dialect.copies_binary() {
            self.statement(&copy_statement(route, Format::Binary(&[])));
        }
        if replace::is_spoken(route) {
            let name = replace::table_name(1);
            self.statement(&replace::create_table(route, &name));
            self.any(dialect.make_sure_empty(&name));
            if let Some(update) = replace::update_statement(route, &name) {
                self.statement(&update);
            }
            self.statement(&replace::insert_statement(route, &name));
            self.statement(&temporary::clear(&name));
        }
        if let Some(truncate) = constants::truncate_statement(route) {
            self.statement(&truncate);
        }
    }

    /// The commits while a table catches up with the checkpoint, and when it has.
    fn catching_up(&mut self, dialect: Dialect) {
        let table = TableName::new("shop", "items");
        let task = ("task", 3);
        let [behind, ahead] = behind::ways(("task", dialect), table, &progress());
        for (title, (update, written), own) in [
            (
                "a commit while a table catches up",
                checkpoint_stays(task),
                behind,
            ),
            (
                "the commit with which it has caught up",
                checkpoint_update(task, "staging", &progress(), None, dialect),
                ahead,
            ),
        ] {
            self.title(title);
            self.statement(dialect.check_deferred());
            self.statement(&match dialect.commit() {
                Commit::Guarded => dialect.guarded(&update, &written),
                Commit::Counted => update,
            });
            self.statement(&own);
            self.statement("commit");
        }
        let statements = behind::STATEMENTS.iter().copied();
        self.statements("a table is paused, let go on, and forgotten", statements);
    }

    fn keyless(&mut self, title: &str, route: &Route) {
        let name = keyless::table_name(2);
        self.title(title);
        self.findings(route);
        self.statement(&keyless::create_table(route, &name));
        self.any(route.target.dialect.make_sure_empty(&name));
        self.statement(&format!("copy pg_temp.{name} from stdin"));
        self.statement(ALLOW_SCAN);
        self.statement(&keyless::delete_statement(route, &name));
        self.statement(FORBID_SCAN);
        self.statement(&temporary::clear(&name));
        self.statement(&copy_statement(route, Format::Text));
    }
}

fn progress() -> Progress {
    Progress {
        timeline: Arc::new(Timeline {
            id: TimelineId("timeline".into()),
            log_id: LogId("log".into()),
            consistent_from: None,
        }),
        position: BinlogPosition::new("mysql-bin.000001".parse().unwrap(), 1337),
        gtid_set: Some(String::new()),
        transaction_seq: 7,
        event_seq: 42,
        committed_at_us: None,
    }
}

fn golden(dialect: Dialect) -> String {
    let mut golden = Golden(format!(
        "-- Statements for a target of this kind, written by MYSQL2GP_BLESS=1 cargo test -p loader --lib golden.\n\
         -- keys by {:?}, replacing {:?}, commit {:?}\n",
        dialect.keys_by(),
        dialect.replacing(),
        dialect.commit(),
    ));
    golden.statements("the session", dialect.session());
    golden.statements("the catalog", catalog::statements(dialect));
    golden.statements(
        "the loader's tables",
        [dialect.create_tables(common::checkpoint::CREATE).as_str()],
    );
    let (update, written) = checkpoint_update(("task", 3), "staging", &progress(), None, dialect);
    golden.title("the commit");
    golden.statement(dialect.check_deferred());
    golden.statement(&match dialect.commit() {
        Commit::Guarded => dialect.guarded(&update, &written),
        Commit::Counted => update,
    });
    golden.statement("commit");
    golden.catching_up(dialect);
    golden.statements(
        "from time to time",
        dialect.tidy_checkpoint().iter().copied(),
    );
    golden.statements("a retry's patience", [dialect.wait_for_locks(500).as_str()]);
    golden.keyed(
        "a table distributed by its key",
        &route(dialect, "items", vec![0], by("id")),
    );
    golden.keyed(
        "a key of two columns, and rows distributed by one of them",
        &route(dialect, "stock", vec![1, 0], by("shop")),
    );
    golden.keyed(
        "rows distributed by what is not of the key",
        &route(dialect, "orders", vec![0], by("name")),
    );
    golden.keyed(
        "rows distributed randomly",
        &route(dialect, "events", vec![0], Distribution::Randomly),
    );
    golden.keyed(
        "rows on every segment",
        &route(dialect, "colors", vec![0], Distribution::Replicated),
    );
    golden.keyed(
        "append-optimized rows",
        &append_optimized(route(dialect, "archive", vec![0], by("id"))),
    );
    if dialect.locks_tables() {
        let route = route(dialect, "items", vec![0], by("id"));
        golden.title("in a batch that deletes from others: a table that rows are copied into");
        golden.any(lock_ahead(&route, Effect::Copies));
        if replace::is_spoken(&route) {
            golden.title("and one in which rows are replaced");
            golden.any(lock_ahead(&route, Effect::Replaces));
        }
    }
    golden.keyless(
        "a table without a key",
        &route(dialect, "log", Vec::new(), Distribution::Randomly),
    );
    golden.0
}

#[test]
fn golden_statements_are_those_of_each_kind_of_server() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut differing = Vec::new();
    for (dialect, name) in dialects() {
        let path = folder.join(format!("{name}.sql"));
        let expected = golden(dialect);
        if std::env::var_os("MYSQL2GP_BLESS").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &expected).unwrap();
        }
        if std::fs::read_to_string(&path).ok() != Some(expected) {
            differing.push(name);
        }
    }
    assert!(
        differing.is_empty(),
        "statements differ from tests/golden for {differing:?}: run with MYSQL2GP_BLESS=1 and read the difference"
    );
}

#[test]
fn only_servers_that_can_replace_rows_are_asked_to() {
    for (dialect, name) in dialects() {
        let replaces =
            |distribution| replace::is_spoken(&route(dialect, "t", vec![0], distribution));
        let by_key = match dialect.replacing() {
            Replacing::Always | Replacing::AmongNoDeletes => true,
            Replacing::Never => false,
        };
        assert_eq!(replaces(by("id")), by_key, "{name}");
        if dialect.is_distributed() {
            for distribution in [by("name"), Distribution::Randomly, Distribution::Replicated] {
                assert!(!replaces(distribution), "{name}");
            }
        }
    }
}

#[test]
fn a_row_of_which_nothing_may_be_set_stays() {
    let columns = ["id", "shop", "name", "ratio", "extra"];
    let distribution = Distribution::By {
        columns: columns.map(str::to_owned).to_vec(),
        clause: format!("DISTRIBUTED BY ({})", columns.join(", ")),
    };
    let route = route(Dialect::Greenplum7, "t", vec![0], distribution);
    let statement = replace::insert_statement(&route, "rows");
    assert!(
        statement.ends_with("on conflict (\"id\") do nothing"),
        "{statement}"
    );
}
