//! Random changes, of which the target refuses some, against a loader that is killed, and
//! retries beside it: in the end both sides are equal.

use std::collections::BTreeMap;

use common::table::DefinitionId;
use testkit::wait_until;

use crate::apply::define_items;
use crate::bench::{Bench, Running, TIMEOUT};
use crate::staged::{Lines, varchar};

/// Overrides the seed, to repeat a run.
pub(crate) const SEED_VARIABLE: &str = "MYSQL2GP_TEST_SEED";

const STEPS: u32 = 60;

const KEYS: u64 = 12;

pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// The source's tables.
struct Model {
    random: Random,
    tables: (DefinitionId, DefinitionId),
    items: BTreeMap<u64, String>,
    log: Vec<String>,
}

impl Model {
    fn value(&mut self) -> String {
        let number = self.random.below(4);
        if self.random.below(3) == 0 {
            format!("bad{number}")
        } else {
            format!("v{number}")
        }
    }

    fn change(&mut self, t: &mut Lines) {
        let (items, log) = self.tables;
        let key = self.random.below(KEYS);
        let value = self.value();
        match (self.random.below(10), self.items.contains_key(&key)) {
            (0..4, false) => {
                t.insert(items, &format!("{key}\t{value}"));
                self.items.insert(key, value);
            }
            (0..3, true) => {
                t.update(items, &format!("{key}\t{value}"));
                self.items.insert(key, value);
            }
            (3, true) => {
                t.delete(items, &key.to_string());
                self.items.remove(&key);
            }
            (4, true) => {
                let new = KEYS + self.random.below(KEYS);
                if !self.items.contains_key(&new) {
                    t.update_key(items, &format!("{new}\t{value}"), &key.to_string());
                    self.items.remove(&key);
                    self.items.insert(new, value);
                }
            }
            (5..7, _) => {
                t.insert(log, &value);
                self.log.push(value);
            }
            (7..9, _) if !self.log.is_empty() => {
                let count = u64::try_from(self.log.len()).unwrap();
                let at = usize::try_from(self.random.below(count)).unwrap();
                if self.random.below(2) == 0 {
                    t.delete_full(log, &self.log.swap_remove(at));
                } else {
                    t.update_full(log, &value, &self.log[at]);
                    self.log[at] = value;
                }
            }
            _ => {}
        }
    }

    fn expected(&self) -> (Vec<String>, Vec<String>) {
        let items = self.items.iter();
        let mut log = self.log.clone();
        log.sort();
        (
            items.map(|(key, value)| format!("{key}|{value}")).collect(),
            log,
        )
    }
}

fn target(bench: &mut Bench) -> (Vec<String>, Vec<String>) {
    (
        bench.rows("select id, name from items order by id"),
        bench.rows("select line from log order by line collate \"C\""),
    )
}

/// Whether the target takes bad values from now on.
fn constrain(bench: &mut Bench, refuse: bool) {
    // One by one: the loader locks both tables, too.
    for (table, column) in [("items", "name"), ("log", "line")] {
        bench.rows(&if refuse {
            format!(
                "alter table {table} add constraint bad check ({column} not like 'bad%') not valid"
            )
        } else {
            format!("alter table {table} drop constraint bad")
        });
    }
}

fn restart(bench: &Bench, running: &mut Running) {
    running.program.kill9();
    running.program.wait_exit(TIMEOUT);
    *running = bench.start(&[]);
}

#[test]
fn random_refusals_kills_and_retries_end_in_equality() {
    let seed = match std::env::var_os(SEED_VARIABLE) {
        Some(seed) => seed.to_str().unwrap().parse().unwrap(),
        None => std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs(),
    };
    eprintln!("refusals with {SEED_VARIABLE}={seed}");
    let mut bench = Bench::new(
        "create table items (id integer primary key, name varchar(20)); create table log (line varchar(20))",
    );
    bench.set("desc.pgsql", "ignore_copy_error_count_each_table", 100_000);
    bench.set("task", "lock_timeout", 60);
    constrain(&mut bench, true);
    let mut refuse = true;
    let items = define_items(&mut bench);
    let log = bench.staged.define("log", &[("line", varchar(20))], &[]);
    let mut model = Model {
        random: Random(seed),
        tables: (items, log),
        items: BTreeMap::new(),
        log: Vec::new(),
    };
    let mut running = bench.start(&[]);
    for _ in 0..STEPS {
        for _ in 0..=model.random.below(4) {
            let changes = 1 + model.random.below(8);
            bench.staged.transaction(|t| {
                for _ in 0..changes {
                    model.change(t);
                }
            });
        }
        match model.random.below(8) {
            0 => restart(&bench, &mut running),
            1 | 2 => {
                let (code, out) = bench.run_for_output(&["dead-letters", "retry"]);
                assert!([0, 1, 3].contains(&code), "{code}: {out}");
            }
            3 => {
                refuse = !refuse;
                constrain(&mut bench, refuse);
            }
            _ => {}
        }
    }
    if refuse {
        constrain(&mut bench, false);
    }
    let end = bench.staged.offset.to_string();
    wait_until(TIMEOUT, "the end", || {
        bench.rows("select applied_pos from mysql2gp.checkpoint") == [end.clone()]
    });
    let (code, out) = bench.run_for_output(&["dead-letters", "retry"]);
    assert_eq!(code, 0, "{out}");
    assert_eq!(target(&mut bench), model.expected());
    running.program.sigterm();
    let (code, said) = running.finish();
    assert_eq!(code, 0, "{said}");
    assert!(!said.contains("lacks rows"), "{said}");
    bench.once();
    assert_eq!(
        bench.rows("select count(*) from mysql2gp.checkpoint_dead_letters"),
        ["0"]
    );
    assert_eq!(
        bench.staging_rows("select count(*) from mysql2gp.dead_letter where resolved_at is null"),
        ["0"]
    );
    assert_eq!(target(&mut bench), model.expected());
}
