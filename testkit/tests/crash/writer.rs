//! Writes to the source all the time, on a thread of its own: the workload, and what reaches
//! the rarer places of the programs.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use mysql::{Conn, OptsBuilder};
use testkit::holds_within;
use testkit::workload::{Random, Workload, execute, prepare};

use crate::refusals;
use crate::rig::SOON;

/// Tables besides the workload's.
pub(crate) const MORE_SOURCE_TABLES: &str = "
use app;
create table prepared_rows (id int primary key, v varchar(40));
create table emptied (id int primary key, v varchar(40));
create table wide (id int primary key, v varchar(600));
create table not_listed (id int primary key auto_increment) engine = myisam;
";

/// Their copies.
pub(crate) const MORE_TARGET_TABLES: &str = "
create table prepared_rows (id integer primary key, v varchar(40));
create table emptied (id integer primary key, v varchar(40));
create table wide (id integer primary key, v varchar(600));
";

/// Their names.
pub(crate) const MORE_TABLES: &[&str] = &["prepared_rows", "emptied", "wide"];

/// Time between two transactions: the servers share the machine with the programs.
const PACE: Duration = Duration::from_millis(10);

/// The same, where the programs have fallen behind: on a busy machine a backlog would grow for
/// good, and every recovery take longer.
const SLOW_PACE: Duration = Duration::from_millis(200);

/// Rows of the largest table at which it is emptied.
const MANY_ACCOUNTS: usize = 1200;

/// Enough for several parts of a source transaction and several rounds of a batch.
const WIDE_ROWS: u32 = 3000;

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Everything.
    Mixed,
    /// Transactions that survive a source that is killed in their middle, or do not exist.
    Plain,
    /// The same, of which the target takes every row: a dead letter makes staging write all
    /// commits before it to disk.
    Taken,
    /// Only rows of which the target refuses some, also when it commits.
    Late,
    /// Only what is not replicated.
    LeftOut,
    /// Nothing.
    Rest,
    /// Nothing any more.
    End,
}

/// Whether a source may be away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Stays,
    MayGo,
}

struct State {
    mode: Mode,
    source: Source,
    pace: Duration,
    /// Transactions in the current mode.
    steps: u64,
    resting: bool,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics with the lock")
    }
}

/// The writer's handle.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Begins to write.
    pub(crate) fn start(port: u16, seed: u64, mixes_engines: bool) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                mode: Mode::Mixed,
                source: Source::Stays,
                pace: PACE,
                steps: 0,
                resting: false,
            }),
            changed: Condvar::new(),
        });
        let pen = Pen {
            port,
            mixes_engines,
            random: Random::new(seed ^ 1),
            workload: Workload::seeded(seed),
            number: 0,
        };
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || write(&shared, pen)
        });
        Self {
            shared,
            thread: Some(thread),
        }
    }

    /// Changes what is written, and waits until it is.
    pub(crate) fn set(&self, mode: Mode) {
        let mut state = self.shared.lock();
        state.mode = mode;
        state.steps = 0;
        drop(state);
        self.shared.changed.notify_all();
        let done = holds_within(SOON, || {
            let state = self.shared.lock();
            self.has_ended()
                || match mode {
                    Mode::Rest | Mode::End => state.resting,
                    Mode::Mixed | Mode::Plain | Mode::Taken | Mode::Late | Mode::LeftOut => {
                        state.steps > 0
                    }
                }
        });
        assert!(done && !self.has_ended(), "the writer hangs or has failed");
    }

    /// Writes less while so many bytes of the log are not applied.
    pub(crate) fn mind_backlog(&self, bytes: u64) {
        const MANY_BYTES: u64 = 32 << 20;
        self.shared.lock().pace = if bytes > MANY_BYTES { SLOW_PACE } else { PACE };
    }

    /// Breaks the source in the middle of transactions, and waits until they go on.
    pub(crate) fn while_away(&self, break_source: impl FnOnce()) {
        self.set(Mode::Plain);
        self.shared.lock().source = Source::MayGo;
        break_source();
        self.set(Mode::Plain);
        self.shared.lock().source = Source::Stays;
        self.set(Mode::Mixed);
    }

    fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.lock().mode = Mode::End;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("the writer has failed");
        }
    }
}

fn write(shared: &Shared, mut pen: Pen) {
    let mut connection = None;
    loop {
        let (mode, source) = {
            let mut state = shared.lock();
            while state.mode == Mode::Rest {
                state.resting = true;
                state = shared.changed.wait(state).unwrap();
            }
            state.resting = false;
            (state.mode, state.source)
        };
        if mode == Mode::End {
            shared.lock().resting = true;
            return;
        }
        match pen.write(&mut connection, mode) {
            Ok(()) => {}
            Err(error) => {
                assert!(
                    source == Source::MayGo || shared.lock().source == Source::MayGo,
                    "the source fails: {error}"
                );
                connection = None;
            }
        }
        let mut state = shared.lock();
        if connection.is_some() && state.mode == mode {
            state.steps += 1;
        }
        let pace = state.pace;
        let _ = shared
            .changed
            .wait_timeout_while(state, pace, |state| state.mode == mode)
            .unwrap();
    }
}

struct Pen {
    port: u16,
    mixes_engines: bool,
    random: Random,
    workload: Workload,
    number: u32,
}

impl Pen {
    fn write(&mut self, connection: &mut Option<Conn>, mode: Mode) -> mysql::Result<()> {
        let connection = match connection {
            Some(connection) => connection,
            none => {
                let mut new = self.connect()?;
                prepare(&mut new)?;
                self.workload.reload(&mut new)?;
                none.insert(new)
            }
        };
        match mode {
            Mode::Rest | Mode::End => Ok(()),
            Mode::LeftOut => {
                let id = self.next();
                execute(
                    connection,
                    &format!("replace into other.slots values ({id})"),
                )
            }
            Mode::Taken => self.workload.transaction(connection),
            Mode::Late => self.all(connection, refusals::late_transaction),
            Mode::Plain => match self.random.below(10) {
                0..9 => self.workload.transaction(connection),
                _ => self.refused(connection),
            },
            Mode::Mixed => match self.random.below(200) {
                0..=152 => self.workload.transaction(connection),
                153..=172 => self.refused(connection),
                173..=182 => self.prepared(connection),
                183..=190 => self.emptied(connection),
                191..=194 => self.index(connection),
                195 => self.wide(connection),
                196 if self.mixes_engines => self.rewound(connection),
                197 if self.mixes_engines => self.abandoned(connection),
                _ => {
                    if self.workload.account_count() < MANY_ACCOUNTS {
                        return self.workload.transaction(connection);
                    }
                    execute(connection, "truncate table accounts")?;
                    self.workload.reload(connection)
                }
            },
        }
    }

    fn connect(&self) -> mysql::Result<Conn> {
        Conn::new(
            OptsBuilder::new()
                .ip_or_hostname(Some("127.0.0.1"))
                .tcp_port(self.port)
                .user(Some("root"))
                .prefer_socket(false),
        )
    }

    fn next(&mut self) -> u32 {
        self.number += 1;
        self.number
    }

    /// Rows of which the target refuses some.
    fn refused(&mut self, connection: &mut Conn) -> mysql::Result<()> {
        self.all(connection, refusals::transaction)
    }

    /// Runs statements that need no bookkeeping.
    fn all(
        &mut self,
        connection: &mut Conn,
        statements: impl FnOnce(&mut Random) -> Vec<String>,
    ) -> mysql::Result<()> {
        for statement in statements(&mut self.random) {
            execute(connection, &statement)?;
        }
        Ok(())
    }

    /// A prepared transaction, with others before its end.
    fn prepared(&mut self, connection: &mut Conn) -> mysql::Result<()> {
        let id = self.next();
        for statement in [
            format!("xa start 'x{id}'"),
            format!("insert into prepared_rows values ({id}, 'prepared')"),
            format!(
                "update prepared_rows set v = 'older' where id < {id} order by id desc limit 3"
            ),
            format!("xa end 'x{id}'"),
            format!("xa prepare 'x{id}'"),
        ] {
            execute(connection, &statement)?;
        }
        if self.random.percent(50) {
            let mut other = self.connect()?;
            prepare(&mut other)?;
            execute(
                &mut other,
                &format!("replace into emptied values ({id}, 'between')"),
            )?;
        }
        let end = if self.random.percent(70) {
            "commit"
        } else {
            "rollback"
        };
        execute(connection, &format!("xa {end} 'x{id}'"))
    }

    fn emptied(&mut self, connection: &mut Conn) -> mysql::Result<()> {
        let id = self.next();
        execute(
            connection,
            &format!("replace into emptied values ({id}, 'a'), ({}, 'b')", id + 1),
        )?;
        if self.random.percent(50) {
            execute(connection, "truncate table emptied")?;
        }
        Ok(())
    }

    /// A DDL statement that passes, behind which the definition is a new version.
    fn index(&mut self, connection: &mut Conn) -> mysql::Result<()> {
        let id = self.next();
        execute(connection, "create index extra on emptied (v, id)")?;
        execute(connection, "drop index extra on emptied")?;
        execute(
            connection,
            &format!("replace into emptied values ({id}, 'new')"),
        )
    }

    /// A large transaction.
    fn wide(&mut self, connection: &mut Conn) -> mysql::Result<()> {
        execute(connection, "begin")?;
        self.write_wide(connection, 0)?;
        execute(connection, "commit")
    }

    /// A large transaction that is rolled back, and logged.
    fn abandoned(&mut self, connection: &mut Conn) -> mysql::Result<()> {
        execute(connection, "begin")?;
        self.write_wide(connection, 0)?;
        // With this, MariaDB logs it all.
        execute(connection, "create temporary table not_logged (id int)")?;
        execute(connection, "rollback")?;
        execute(connection, "drop temporary table not_logged")
    }

    /// A large transaction, of which a large part is rolled back, and logged.
    fn rewound(&mut self, connection: &mut Conn) -> mysql::Result<()> {
        execute(connection, "begin")?;
        self.write_wide(connection, 0)?;
        execute(connection, "savepoint here")?;
        execute(connection, "insert into not_listed values ()")?;
        self.write_wide(connection, WIDE_ROWS)?;
        execute(connection, "rollback to here")?;
        execute(connection, "delete from wide where id % 7 = 0")?;
        execute(connection, "commit")
    }

    fn write_wide(&mut self, connection: &mut Conn, first: u32) -> mysql::Result<()> {
        let mark = self.next();
        let digits = "(select 0 d union all select 1 union all select 2 union all select 3 union all select 4 union all \
                       select 5 union all select 6 union all select 7 union all select 8 union all select 9)";
        execute(
            connection,
            &format!(
                "replace into wide select {first} + n, repeat('{mark} ', 500 div length('{mark} ')) from \
                 (select a.d + 10 * b.d + 100 * c.d + 1000 * e.d as n from {digits} a, {digits} b, {digits} c, {digits} e) \
                 numbers where n < {WIDE_ROWS}"
            ),
        )
    }
}
