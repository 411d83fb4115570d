//! A loader in the test's own process, that speaks to PostgreSQL as to another kind of server.
//!
//! What PostgreSQL does not have is made to look alike: an empty policy catalog, so that nothing
//! is `distributed by`, and in tables without a key a column of the name `gp_segment_id`.

use std::sync::Arc;

use common::checkpoint::Checkpoint;
use common::pg::conninfo::Environment;
use common::pg::{self, Conninfo};
use common::position::{LogId, TimelineId};
use common::table::{ColumnType, DefinitionId};
use loader::apply::{Applier, ApplyError};
use loader::compact::{Compactor, Limits, Pause};
use loader::dead_letters::DeadLetters;
use loader::fetch::{Fetched, Fetcher, Flow, Pass, Start};
use loader::progress::{Progress, Timeline};
use loader::round::{Contradictions, Round};
use loader::route::{Router, ValuePolicy};
use loader::target::dialect::{Compatibility, Dates, EmptyText, Lengths};
use loader::target::session::set_replica_role;
use loader::target::{Dialect, TargetSession};

use crate::bench::{Bench, server};
use crate::staged::{FILE, Lines, TIMELINE};

/// What Greenplum and openGauss have and PostgreSQL has not.
pub(crate) const LOOK_ALIKES: &str = "\
create table public.gp_distribution_policy (localoid oid, policytype \"char\", numsegments integer, \
                                            distkey int2vector, distclass oidvector); \
create function public.pg_get_table_distributedby(oid) returns text language sql as 'select null::text'; \
create table public.pg_appendonly (relid oid); \
create table public.pg_exttable (reloid oid); \
create schema look_alike; \
create view look_alike.pg_attrdef as \
  select d.*, case when a.attgenerated = 's' then 's' else '' end::\"char\" as adgencol \
    from pg_catalog.pg_attrdef d join pg_catalog.pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum";

/// Where unqualified names are looked for.
pub(crate) const SEARCH_PATH: &str = "set search_path = look_alike, pg_catalog, public";

pub(crate) const OPENGAUSS: Dialect = Dialect::OpenGauss(Compatibility {
    empty_text: EmptyText::Kept,
    lengths: Lengths::Characters,
    dates: Dates::Date,
});

pub(crate) const OPENGAUSS_A: Dialect = Dialect::OpenGauss(Compatibility {
    empty_text: EmptyText::Null,
    lengths: Lengths::Bytes,
    dates: Dates::Timestamp,
});

pub(crate) const ALL: [Dialect; 6] = [
    Dialect::PostgreSql,
    Dialect::Greenplum6,
    Dialect::Greenplum7,
    Dialect::Cloudberry,
    OPENGAUSS,
    OPENGAUSS_A,
];

/// A task that is applied here, not by the program.
pub(crate) struct Spoken {
    pub(crate) bench: Bench,
    pub(crate) dialect: Dialect,
    pub(crate) batch_bytes: usize,
    pub(crate) dead_letter_limit: u64,
}

impl Spoken {
    pub(crate) fn new(dialect: Dialect, tables: &str) -> Self {
        Self {
            bench: Bench::new(&format!("{LOOK_ALIKES}; {tables}")),
            dialect,
            batch_bytes: 1 << 20,
            dead_letter_limit: 0,
        }
    }

    pub(crate) fn define(
        &mut self,
        name: &str,
        columns: &[(&str, ColumnType)],
        key: &[&str],
    ) -> DefinitionId {
        self.bench.staged.define(name, columns, key)
    }

    pub(crate) fn transaction(&mut self, write: impl FnOnce(&mut Lines)) {
        self.bench.staged.transaction(write);
    }

    fn conninfo(&self, suffix: &str) -> Conninfo {
        let database = format!("{}_{suffix}", self.bench.name);
        Conninfo::parse(
            &server().connect_string(&database),
            None,
            &Environment::default(),
        )
        .unwrap()
    }

    pub(crate) fn session(&self) -> TargetSession {
        let mut client = pg::connect_target(&self.conninfo("target"), "test").unwrap();
        client.batch_execute(SEARCH_PATH).unwrap();
        for statement in self.dialect.session() {
            // Settings that PostgreSQL does not know.
            let is_known = !["set optimizer ", "set gp_"]
                .iter()
                .any(|start| statement.starts_with(start));
            if is_known {
                client.batch_execute(statement).unwrap();
            }
        }
        let replica_role = set_replica_role(&mut client, self.dialect).unwrap();
        let mut session = TargetSession::new(client, &self.bench.name, self.dialect, replica_role);
        if self.dialect.is_distributed() {
            // PostgreSQL does not know "distributed by".
            let create = format!(
                "create schema if not exists mysql2gp; {}",
                common::checkpoint::CREATE
            );
            session.client.batch_execute(&create).unwrap();
        }
        session.create_tables().unwrap();
        session
    }

    /// Applies everything that is staged, in rounds as the program would.
    pub(crate) fn apply(&mut self) -> Result<u64, ApplyError> {
        let mut session = self.session();
        let mut fetcher = Fetcher::open(&self.conninfo("staging"), &self.bench.name).unwrap();
        fetcher.need_from(None).unwrap();
        let miner = fetcher.miner().unwrap().unwrap();
        let tenure = fetcher.begin_tenure().unwrap();
        let staging_id = fetcher.task().unwrap().staging_id;
        let checkpoint = match session.checkpoint().unwrap() {
            Some(checkpoint) => {
                session.raise_epoch().unwrap();
                checkpoint
            }
            None => {
                let checkpoint = first(&staging_id);
                session.insert_checkpoint(&checkpoint).unwrap();
                checkpoint
            }
        };
        let start = fetcher.locate(&miner, &checkpoint).unwrap();
        fetcher.seek(&start, &checkpoint.timeline_id);
        let dead_letters = DeadLetters::open(
            &self.conninfo("staging"),
            &self.bench.name,
            self.dead_letter_limit,
            (&checkpoint, &[]),
            tenure,
            &mut session.client,
        )
        .unwrap();
        let policy = ValuePolicy {
            zero_date: common::settings::ZeroDate::Null,
            empty_string: common::settings::EmptyString::Keep,
            time_zone_minutes: 0,
        };
        let router = Router::new(&[], "public", policy);
        let known = fetcher.known_file();
        let mut applier = Applier::new(session, router, dead_letters, staging_id, known);
        let limits = Limits {
            batch_bytes: self.batch_bytes,
            stop_at: None,
            contradictions: Contradictions::Stop,
        };
        let mut compactor = Compactor::new(limits, progress(checkpoint, &start));
        for fetched in fetch_all(&mut fetcher) {
            merge(&mut compactor, &mut applier, fetched)?;
        }
        // The last transaction's end may stand alone behind its rows.
        if compactor.round().transactions > 0 {
            applier.apply(&compactor.take_round(Round::default()))?;
        }
        Ok(applier.duplicates())
    }

    #[track_caller]
    pub(crate) fn applied(&mut self) {
        if let Err(error) = self.apply() {
            panic!("{:?}: {error}", self.dialect);
        }
    }

    #[track_caller]
    pub(crate) fn rows(&mut self, query: &str, expected: &[&str]) {
        assert_eq!(self.bench.rows(query), expected, "{:?}", self.dialect);
    }
}

pub(crate) fn first(staging_id: &str) -> Checkpoint {
    Checkpoint {
        timeline_id: TimelineId(TIMELINE.into()),
        log_id: LogId("log-1".into()),
        file_created: None,
        start_position: format!("{FILE}:4"),
        applied: format!("{FILE}:4").parse().unwrap(),
        applied_gtid_set: None,
        staging_id: staging_id.into(),
        transaction_seq: 0,
        event_seq: 0,
        consistent_from: None,
    }
}

pub(crate) fn progress(checkpoint: Checkpoint, start: &Start) -> Progress {
    Progress {
        timeline: Arc::new(Timeline {
            id: checkpoint.timeline_id,
            log_id: checkpoint.log_id,
            consistent_from: checkpoint.consistent_from,
        }),
        position: checkpoint.applied,
        gtid_set: None,
        transaction_seq: start.transaction_seq,
        event_seq: start.event_seq,
        committed_at_us: None,
    }
}

fn fetch_all(fetcher: &mut Fetcher) -> Vec<Fetched> {
    let mut all = Vec::new();
    loop {
        let pass = fetcher.pass(|fetched| {
            all.push(fetched);
            Flow::Continue
        });
        match pass.unwrap() {
            Pass::More => {}
            Pass::Drained | Pass::Stopped => return all,
            pass @ (Pass::Asked | Pass::Relisted) => panic!("{pass:?}: nobody asks here"),
        }
    }
}

fn merge(
    compactor: &mut Compactor,
    applier: &mut Applier,
    fetched: Fetched,
) -> Result<(), ApplyError> {
    let text = match fetched {
        Fetched::Definition(id, definition) => {
            compactor.define(id, *definition);
            return Ok(());
        }
        Fetched::Timeline(timeline) => {
            compactor.begin_timeline(&timeline).unwrap();
            return Ok(());
        }
        Fetched::Mark(_) => return Ok(()),
        Fetched::Text(text) => text,
    };
    compactor
        .begin_text(text.transaction_seq, text.event_seq)
        .unwrap();
    let mut rest = text.lines.as_slice();
    while !rest.is_empty() {
        let (left, pause) = compactor.read(rest).unwrap();
        rest = left;
        match pause {
            Pause::NeedText | Pause::MayEnd => {}
            Pause::MustEnd | Pause::Split | Pause::Stop => {
                applier.apply(&compactor.take_round(Round::default()))?;
            }
        }
    }
    Ok(())
}
