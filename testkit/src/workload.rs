//! Random transactions on tables with all that is known to work, and their copies.
//!
//! The same seed gives the same statements. Keys are chosen so that no statement fails, by
//! bookkeeping of which rows exist; a rollback takes the bookkeeping back too.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mysql::Conn;
use mysql::prelude::Queryable;

/// The database of the tables at the source.
pub const DATABASE: &str = "app";

/// The tables that are compared.
pub const TABLES: &[&str] = &["accounts", "numbers", "slots", "journal"];

/// The lines of the table list; `left_out` is not among them.
pub const TABLE_LIST: &[&str] = &["acc*", "# a comment", "app.numbers", "slots", "journal"];

/// Overrides the seed, to repeat a run.
const SEED_VARIABLE: &str = "MYSQL2GP_TEST_SEED";

/// The tables at the source.
pub const SOURCE_SCHEMA: &str = "
create database app character set utf8mb4;
use app;
create table accounts (
    region  varchar(8) character set latin1 not null,
    number  int unsigned not null,
    code    varchar(24) not null,
    name    varchar(60),
    amount  decimal(20, 6),
    ratio   double,
    share   float,
    opened  date,
    changed datetime(6),
    seen    timestamp(3) null,
    `length` time(2),
    kind    enum('red', 'green', 'blue ''q'),
    flags   set('a', 'b', 'c'),
    token   varbinary(20),
    note    text,
    place   varchar(40) character set latin1,
    data    blob,
    primary key (region, number),
    unique key by_code (code)
);
create table numbers (
    id bigint unsigned not null primary key,
    t  tinyint, tu tinyint unsigned,
    s  smallint, su smallint unsigned,
    m  mediumint, mu mediumint unsigned,
    i  int, iu int unsigned,
    b  bigint, bu bigint unsigned,
    d  decimal(38, 10) unsigned,
    y  datetime
);
create table slots (id int primary key, slot int not null unique, label varchar(20));
create table journal (at datetime not null, text varchar(100), amount int, payload varbinary(30));
create table left_out (id int primary key, v point);
create database other;
create table other.slots (id int primary key);
";

/// Their copies: another order of columns, and one that only the target has.
pub const TARGET_SCHEMA: &str = "
create table accounts (
    loaded  text not null default 'by mysql2gp',
    number  bigint,
    region  varchar(8),
    data    bytea,
    code    varchar(24) not null unique,
    name    varchar(60),
    amount  numeric(20, 6),
    ratio   double precision,
    share   real,
    opened  date,
    changed timestamp(6),
    seen    timestamptz(3),
    length  interval,
    kind    text,
    flags   text,
    token   bytea,
    note    text,
    place   varchar(40),
    primary key (number, region)
);
create table numbers (
    id numeric(20) primary key,
    t  smallint, tu smallint,
    s  smallint, su integer,
    m  integer, mu integer,
    i  integer, iu bigint,
    b  bigint, bu numeric(20),
    d  numeric(38, 10),
    y  timestamp(0)
);
create table slots (id integer primary key, slot integer not null unique, label varchar(20));
create table journal (at timestamp(0) not null, text varchar(100), amount integer, payload bytea);
";

/// splitmix64: small, and the same everywhere.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap();
        usize::try_from(self.number() % bound).unwrap()
    }

    /// True in `chance` of a hundred cases.
    pub fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    /// One of the choices.
    pub fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices.get(self.below(choices.len())).unwrap()
    }
}

/// Which rows exist.
#[derive(Clone, Debug, Default)]
struct Rows {
    /// Keys of `accounts`.
    accounts: Vec<(String, u32)>,
    /// Keys of `accounts` that were used once.
    gone: Vec<(String, u32)>,
    numbers: Vec<u64>,
    slots: Vec<u32>,
}

/// A source of transactions.
pub struct Workload {
    random: Random,
    rows: Rows,
    /// Source of values that were never used before.
    counter: u32,
    /// Transactions that have been run, for whoever watches.
    pub done: Arc<AtomicUsize>,
}

const REGIONS: &[&str] = &["north", "NORTH", "süd", "SÜD", "e\\ast", "", "we st"];
const TEXTS: &[&str] = &[
    "null",
    "''",
    "'plain'",
    "'tab\\there'",
    "'line\\nbreak\\rreturn'",
    "'back\\\\slash \\\\N \\\\.'",
    "'quote''s \"double\"'",
    "'ünïcödé 山 🛒'",
    "' spaces '",
];
const LATIN: &[&str] = &[
    "null",
    "''",
    "'Zürich'",
    "'ÿþ'",
    "'€ and ž'",
    "'C:\\\\temp\\t'",
];
const AMOUNTS: &[&str] = &[
    "null",
    "0",
    "-0.000001",
    "12345678901234.123456",
    "-99999999999999.999999",
    "1.5",
];
const DOUBLES: &[&str] = &[
    "null",
    "0",
    "-0e0",
    "0.1e0",
    "1e-300",
    "1.7976931348623157e308",
    "-1234.5678e0",
    "1e15",
    "123456789012345680e3",
];
const FLOATS: &[&str] = &[
    "null",
    "0",
    "0.1",
    "3.40282e38",
    "1.17549e-38",
    "-2.5",
    "16777217",
    "1e-30",
];
const DATES: &[&str] = &[
    "null",
    "'1000-01-01'",
    "'9999-12-31'",
    "'2024-02-29'",
    "'1970-01-01'",
];
const DATETIMES: &[&str] = &[
    "null",
    "'1000-01-01 00:00:00.000001'",
    "'9999-12-31 23:59:59.999999'",
    "'2024-02-29 12:34:56.7'",
    "'1970-01-01 00:00:00'",
];
const TIMESTAMPS: &[&str] = &[
    "null",
    "'1970-01-01 00:00:01.001'",
    "'2038-01-19 03:14:07.25'",
    "'2024-03-31 02:30:00.5'",
    "now(3)",
];
const TIMES: &[&str] = &[
    "null",
    "'-838:59:59'",
    "'838:59:59'",
    "'00:00:00'",
    "'-00:00:00.01'",
    "'12:34:56.78'",
    "'100:00:00.5'",
];
const KINDS: &[&str] = &["null", "'red'", "'green'", "'blue ''q'"];
const FLAGS: &[&str] = &["null", "''", "'a'", "'a,c'", "'a,b,c'"];
const TOKENS: &[&str] = &["null", "x''", "x'00'", "x'FF00FF5C6E090A0D'", "'\\\\x41'"];
const NOTES: &[&str] = &[
    "null",
    "''",
    "'short'",
    "'several words'",
    "'two\\nlines'",
    "repeat('long ä\\t', 900)",
    "repeat('longer\\\\', 2500)",
];
const BLOBS: &[&str] = &["null", "x''", "x'0001FEFF5C30'", "repeat('\\\\', 3000)"];

impl Workload {
    /// A workload by [`seed`].
    pub fn random() -> Self {
        Self::seeded(seed())
    }

    /// The workload of a seed.
    pub fn seeded(seed: u64) -> Self {
        Self {
            random: Random(seed),
            rows: Rows::default(),
            counter: 0,
            done: Arc::default(),
        }
    }

    /// Runs `count` transactions.
    pub fn run(&mut self, connection: &mut Conn, count: usize) {
        prepare(connection).unwrap();
        for _ in 0..count {
            self.transaction(connection).unwrap();
        }
    }

    /// How many rows the largest table has.
    pub fn account_count(&self) -> usize {
        self.rows.accounts.len()
    }

    /// Takes the bookkeeping from the source, which was changed otherwise, or lost what it
    /// had not committed.
    ///
    /// # Errors
    /// When the source does not answer.
    pub fn reload(&mut self, connection: &mut Conn) -> mysql::Result<()> {
        let accounts = connection.query("select region, number from accounts")?;
        self.rows.accounts = accounts;
        self.rows.gone.clear();
        self.rows.numbers = connection.query("select id from numbers")?;
        self.rows.slots = connection.query("select id from slots")?;
        Ok(())
    }

    /// Runs one transaction on a connection that is [prepared](prepare).
    ///
    /// # Errors
    /// When the source is away; whether the transaction is committed is not known then.
    pub fn transaction(&mut self, connection: &mut Conn) -> mysql::Result<()> {
        self.try_transaction(connection)?;
        self.done.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn try_transaction(&mut self, connection: &mut Conn) -> mysql::Result<()> {
        if self.random.percent(40) {
            return self.change(connection);
        }
        let before = self.rows.clone();
        execute(connection, "begin")?;
        self.changes(connection)?;
        if self.random.percent(15) {
            execute(connection, "savepoint `a point`")?;
            let kept = self.rows.clone();
            self.changes(connection)?;
            if self.random.percent(70) {
                execute(connection, "rollback to `a point`")?;
                self.rows = kept;
                self.changes(connection)?;
            }
        }
        if self.random.percent(12) {
            execute(connection, "rollback")?;
            self.rows = before;
        } else {
            execute(connection, "commit")?;
        }
        Ok(())
    }

    fn changes(&mut self, connection: &mut Conn) -> mysql::Result<()> {
        for _ in 0..=self.random.below(5) {
            self.change(connection)?;
        }
        Ok(())
    }

    fn change(&mut self, connection: &mut Conn) -> mysql::Result<()> {
        let statements = match self.random.below(100) {
            0..=17 => self.insert_accounts(),
            18..=33 => self.update_account(),
            34..=41 => self.move_account(),
            42..=49 => self.delete_account(),
            50..=54 => self.insert_again(),
            55..=58 => self.swap_codes(),
            59..=68 => self.change_numbers(),
            69..=78 => self.change_slots(),
            79..=92 => self.change_journal(),
            93 => self.insert_many(),
            _ => self.change_what_is_left_out(),
        };
        for statement in statements {
            execute(connection, &statement)?;
        }
        Ok(())
    }

    fn fresh(&mut self) -> u32 {
        self.counter += 1;
        self.counter
    }

    fn any_account(&mut self) -> Option<usize> {
        let count = self.rows.accounts.len();
        (count > 0).then(|| self.random.below(count))
    }

    fn where_account(&self, index: usize) -> String {
        let (region, number) = self.rows.accounts.get(index).unwrap();
        format!(
            "region = '{}' and number = {number}",
            region.replace('\\', "\\\\")
        )
    }

    fn account_values(&mut self, region: &str, number: u32) -> String {
        let code = self.fresh();
        let region = region.replace('\\', "\\\\");
        let lists = [
            TEXTS, AMOUNTS, DOUBLES, FLOATS, DATES, DATETIMES, TIMESTAMPS, TIMES, KINDS, FLAGS,
            TOKENS, NOTES, LATIN, BLOBS,
        ];
        let values: Vec<&str> = lists.iter().map(|list| self.random.pick(list)).collect();
        format!(
            "('{region}', {number}, 'code{code}', {})",
            values.join(", ")
        )
    }

    fn insert_accounts(&mut self) -> Vec<String> {
        let count = 1 + self.random.below(4);
        self.insert_rows(count)
    }

    /// More than one rows event.
    fn insert_many(&mut self) -> Vec<String> {
        self.insert_rows(120)
    }

    fn insert_rows(&mut self, count: usize) -> Vec<String> {
        let mut values = Vec::new();
        for _ in 0..count {
            let (region, number) = (self.random.pick(REGIONS).to_owned(), self.fresh());
            values.push(self.account_values(&region, number));
            self.rows.accounts.push((region, number));
        }
        vec![format!("insert into accounts values {}", values.join(", "))]
    }

    /// A key that was deleted comes back.
    fn insert_again(&mut self) -> Vec<String> {
        let Some((region, number)) = self.rows.gone.pop() else {
            return Vec::new();
        };
        let values = self.account_values(&region, number);
        self.rows.accounts.push((region, number));
        vec![format!("replace into accounts values {values}")]
    }

    fn update_account(&mut self) -> Vec<String> {
        let Some(index) = self.any_account() else {
            return Vec::new();
        };
        let assignment = match self.random.below(6) {
            0 => format!("name = {}", self.random.pick(TEXTS)),
            1 => format!("note = {}", self.random.pick(NOTES)),
            2 => format!(
                "ratio = {}, share = {}",
                self.random.pick(DOUBLES),
                self.random.pick(FLOATS)
            ),
            3 => format!(
                "seen = {}, `length` = {}",
                self.random.pick(TIMESTAMPS),
                self.random.pick(TIMES)
            ),
            4 => format!(
                "kind = {}, flags = {}",
                self.random.pick(KINDS),
                self.random.pick(FLAGS)
            ),
            _ => format!(
                "code = 'code{}', place = {}",
                self.fresh(),
                self.random.pick(LATIN)
            ),
        };
        vec![format!(
            "update accounts set {assignment} where {}",
            self.where_account(index)
        )]
    }

    /// A new key; sometimes one that differs in letter case only.
    fn move_account(&mut self) -> Vec<String> {
        let Some(index) = self.any_account() else {
            return Vec::new();
        };
        let old = self.where_account(index);
        let (region, number) = self.rows.accounts.get(index).unwrap().clone();
        let (region, number) = if self.random.percent(40) {
            let upper = region.to_uppercase();
            let other = if upper == region {
                region.to_lowercase()
            } else {
                upper
            };
            (other, number)
        } else {
            (self.random.pick(REGIONS).to_owned(), self.fresh())
        };
        *self.rows.accounts.get_mut(index).unwrap() = (region.clone(), number);
        vec![format!(
            "update accounts set region = '{}', number = {number} where {old}",
            region.replace('\\', "\\\\")
        )]
    }

    fn delete_account(&mut self) -> Vec<String> {
        let Some(index) = self.any_account() else {
            return Vec::new();
        };
        let condition = self.where_account(index);
        let key = self.rows.accounts.swap_remove(index);
        self.rows.gone.push(key);
        vec![format!("delete from accounts where {condition}")]
    }

    /// Two rows change places in the secondary unique key.
    fn swap_codes(&mut self) -> Vec<String> {
        let (Some(a), Some(b)) = (self.any_account(), self.any_account()) else {
            return Vec::new();
        };
        if a == b {
            return Vec::new();
        }
        let (a, b) = (self.where_account(a), self.where_account(b));
        vec![
            format!("select code into @a from accounts where {a}"),
            format!("select code into @b from accounts where {b}"),
            format!("update accounts set code = 'between' where {a}"),
            format!("update accounts set code = @a where {b}"),
            format!("update accounts set code = @b where {a}"),
        ]
    }

    fn change_numbers(&mut self) -> Vec<String> {
        if self.rows.numbers.is_empty() || self.random.percent(50) {
            // Keys beyond the range of a signed bigint too.
            let key = u64::MAX / 2 - 20 + u64::from(self.fresh());
            self.rows.numbers.push(key);
            let values = match self.random.below(4) {
                0 => {
                    "-128, 0, -32768, 0, -8388608, 0, -2147483648, 0, -9223372036854775808, 0, 0, null"
                }
                1 => {
                    "127, 255, 32767, 65535, 8388607, 16777215, 2147483647, 4294967295, \
                      9223372036854775807, 18446744073709551615, 9999999999999999999999999999.9999999999, \
                      '9999-12-31 23:59:59'"
                }
                2 => "null, null, null, null, null, null, null, null, null, null, null, null",
                _ => {
                    "-1, 128, -1, 32768, -1, 8388608, -1, 2147483648, -1, 9223372036854775808, 0.0000000001, \
                      '2024-02-29 01:02:03'"
                }
            };
            return vec![format!("insert into numbers values ({key}, {values})")];
        }
        let index = self.random.below(self.rows.numbers.len());
        let key = *self.rows.numbers.get(index).unwrap();
        if self.random.percent(30) {
            self.rows.numbers.swap_remove(index);
            return vec![format!("delete from numbers where id = {key}")];
        }
        let value = self.random.below(100);
        vec![
            format!("update numbers set t = {value}, m = -{value}, b = null where id = {key}"),
            // A statement that changes many rows.
            format!("update numbers set iu = {value} where id % 3 = 0"),
        ]
    }

    fn change_slots(&mut self) -> Vec<String> {
        if self.rows.slots.len() < 2 || self.random.percent(30) {
            let id = self.fresh();
            self.rows.slots.push(id);
            return vec![format!("insert into slots values ({id}, {id}, 'new')")];
        }
        let a = self.random.below(self.rows.slots.len());
        let b = self.random.below(self.rows.slots.len());
        let (id_a, id_b) = (
            *self.rows.slots.get(a).unwrap(),
            *self.rows.slots.get(b).unwrap(),
        );
        match self.random.below(3) {
            0 if a != b => vec![
                format!("select slot into @a from slots where id = {id_a}"),
                format!("select slot into @b from slots where id = {id_b}"),
                format!("update slots set slot = -1 where id = {id_a}"),
                format!("update slots set slot = @a where id = {id_b}"),
                format!("update slots set slot = @b where id = {id_a}"),
            ],
            1 => {
                let id = self.fresh();
                *self.rows.slots.get_mut(a).unwrap() = id;
                vec![format!(
                    "update slots set id = {id}, label = 'moved' where id = {id_a}"
                )]
            }
            _ => {
                self.rows.slots.swap_remove(a);
                // The slot is taken by a new row in the same transaction, if there is one.
                let id = self.fresh();
                self.rows.slots.push(id);
                vec![
                    format!("select slot into @a from slots where id = {id_a}"),
                    format!("delete from slots where id = {id_a}"),
                    format!("insert into slots values ({id}, @a, null)"),
                ]
            }
        }
    }

    /// Equal rows, of which some go.
    fn change_journal(&mut self) -> Vec<String> {
        let (text, payload) = (self.random.pick(TEXTS), self.random.pick(TOKENS));
        let amount = self.random.below(5);
        let row = format!("('2024-02-29 00:00:0{amount}', {text}, {amount}, {payload})");
        vec![match self.random.below(5) {
            0..=2 => format!("insert into journal values {row}, {row}, {row}"),
            3 => format!("delete from journal where amount = {amount} limit 2"),
            _ => format!("update journal set text = {text} where amount = {amount} limit 2"),
        }]
    }

    fn change_what_is_left_out(&mut self) -> Vec<String> {
        let id = self.fresh();
        vec![
            format!("insert into left_out values ({id}, point(1, 2))"),
            format!("replace into other.slots values ({id})"),
        ]
    }
}

/// The seed in the environment if there is one, else a new one; printed.
pub fn seed() -> u64 {
    let seed = match std::env::var_os(SEED_VARIABLE) {
        Some(text) => text
            .to_str()
            .and_then(|text| text.parse().ok())
            .expect("the seed is a number"),
        None => {
            let now = std::time::SystemTime::now();
            let now = now.duration_since(std::time::UNIX_EPOCH).unwrap();
            u64::from(now.subsec_nanos())
        }
    };
    // Shown by the test runner when the test fails.
    eprintln!("workload with {SEED_VARIABLE}={seed}");
    seed
}

/// Makes a new connection one for the workload.
///
/// # Errors
/// When the source does not answer.
pub fn prepare(connection: &mut Conn) -> mysql::Result<()> {
    execute(connection, &format!("use {DATABASE}"))?;
    execute(connection, "set time_zone = '+00:00', names utf8mb4")
}

/// Runs a statement, which cannot be wrong: it fails only when the source is away.
///
/// # Errors
/// When the source is away.
///
/// # Panics
/// When the source refuses the statement.
pub fn execute(connection: &mut Conn, statement: &str) -> mysql::Result<()> {
    match connection.query_drop(statement) {
        // 1053: the server is shutting down.
        Err(mysql::Error::MySqlError(error)) if error.code != 1053 => {
            panic!("{error}: {statement}")
        }
        result => result,
    }
}
