//! Random histories in each dialect, cut into batches and rounds anyhow: the target has what the
//! source had, after every batch.

use std::collections::BTreeMap;

use common::table::DefinitionId;
use loader::target::Dialect;

use crate::dead_letters_random::{Random, SEED_VARIABLE};
use crate::spoken::{ALL, Spoken};
use crate::staged::{Lines, int, varchar};

const KEYS: u64 = 300;

const TABLES: &str = "\
create table items (id integer, shop varchar(80), slot integer not null unique, name varchar(80), primary key (shop, id)); \
create table plain (id integer primary key, name varchar(80)); \
create table log (line varchar(80), gp_segment_id integer default 0)";

/// The source's tables.
struct Model {
    random: Random,
    ids: [DefinitionId; 3],
    next_slot: u64,
    items: BTreeMap<u64, (u64, String)>,
    plain: BTreeMap<u64, String>,
    log: Vec<String>,
}

/// Keys of `items` in key order: the shop is told by the number.
fn key(number: u64) -> String {
    format!("s{}\t{number}", number % 3)
}

fn row(number: u64, slot: u64, name: &str) -> String {
    format!("{number}\ts{}\t{slot}\t{name}", number % 3)
}

impl Model {
    fn fresh_slot(&mut self) -> u64 {
        self.next_slot += 1;
        self.next_slot
    }

    fn change_items(&mut self, t: &mut Lines) {
        let [items, ..] = self.ids;
        let number = self.random.below(KEYS);
        let name = format!("n{}", self.random.below(1000));
        let Some((slot, old)) = self.items.get(&number).cloned() else {
            let slot = self.fresh_slot();
            t.insert(items, &row(number, slot, &name));
            self.items.insert(number, (slot, name));
            return;
        };
        match self.random.below(4) {
            0 => {
                t.delete(items, &key(number));
                self.items.remove(&number);
            }
            1 => {
                t.update(items, &row(number, slot, &name));
                self.items.insert(number, (slot, name));
            }
            2 => {
                let new = KEYS + self.random.below(KEYS);
                if !self.items.contains_key(&new) {
                    t.update_key(items, &row(new, slot, &name), &key(number));
                    self.items.remove(&number);
                    self.items.insert(new, (slot, name));
                }
            }
            _ => {
                // Two rows change slots by way of a third one.
                let other = self.items.keys().copied().find(|other| *other != number);
                let Some(other) = other else { return };
                let (other_slot, other_name) = self.items[&other].clone();
                let between = self.fresh_slot();
                t.update(items, &row(number, between, &old));
                t.update(items, &row(other, slot, &other_name));
                t.update(items, &row(number, other_slot, &old));
                self.items.insert(number, (other_slot, old));
                self.items.insert(other, (slot, other_name));
            }
        }
    }

    fn change_plain(&mut self, t: &mut Lines) {
        let [_, plain, _] = self.ids;
        let name = format!("p{}", self.random.below(1000));
        // Now and then all of them, which replaces rows where that can be.
        if self.random.below(30) == 0 {
            for (id, value) in &mut self.plain {
                t.update(plain, &format!("{id}\t{name}"));
                value.clone_from(&name);
            }
            return;
        }
        let id = self.random.below(KEYS);
        match (self.plain.contains_key(&id), self.random.below(3)) {
            (false, _) => {
                t.insert(plain, &format!("{id}\t{name}"));
                self.plain.insert(id, name);
            }
            (true, 0) => {
                t.delete(plain, &id.to_string());
                self.plain.remove(&id);
            }
            (true, _) => {
                t.update(plain, &format!("{id}\t{name}"));
                self.plain.insert(id, name);
            }
        }
    }

    fn change_log(&mut self, t: &mut Lines) {
        let [.., log] = self.ids;
        let count = u64::try_from(self.log.len()).unwrap();
        if count == 0 || self.random.below(3) > 0 {
            let line = match self.random.below(6) {
                0 => "\\N".to_owned(),
                number => format!("l{number}"),
            };
            t.insert(log, &line);
            self.log.push(line);
        } else {
            let at = usize::try_from(self.random.below(count)).unwrap();
            let line = self.log.swap_remove(at);
            t.delete_full(log, &line);
        }
    }

    fn change(&mut self, t: &mut Lines) {
        match self.random.below(3) {
            0 => self.change_items(t),
            1 => self.change_plain(t),
            _ => self.change_log(t),
        }
    }

    fn expected(&self) -> [Vec<String>; 3] {
        let items = self
            .items
            .iter()
            .map(|(id, (slot, name))| format!("{id}|s{}|{slot}|{name}", id % 3));
        let plain = self.plain.iter().map(|(id, name)| format!("{id}|{name}"));
        let mut log: Vec<String> = self
            .log
            .iter()
            .map(|line| line.replace("\\N", "NULL"))
            .collect();
        log.sort();
        [items.collect(), plain.collect(), log]
    }
}

fn run(dialect: Dialect, seed: u64) {
    let mut spoken = Spoken::new(dialect, TABLES);
    let columns = [
        ("id", int()),
        ("shop", varchar(20)),
        ("slot", int()),
        ("name", varchar(20)),
    ];
    let ids = [
        spoken.define("items", &columns, &["shop", "id"]),
        spoken.define("plain", &[("id", int()), ("name", varchar(20))], &["id"]),
        spoken.define("log", &[("line", varchar(20))], &[]),
    ];
    let mut model = Model {
        random: Random(seed),
        ids,
        next_slot: 0,
        items: BTreeMap::new(),
        plain: (0..KEYS).map(|id| (id, "first".to_owned())).collect(),
        log: Vec::new(),
    };
    spoken.transaction(|t| {
        for id in model.plain.keys() {
            t.insert(model.ids[1], &format!("{id}\tfirst"));
        }
    });
    for step in 0..10 {
        for _ in 0..=model.random.below(4) {
            let changes = 1 + model.random.below(150);
            let model = &mut model;
            spoken.transaction(|t| (0..changes).for_each(|_| model.change(t)));
        }
        spoken.batch_bytes =
            [2_000, 10_000, 1 << 20][usize::try_from(model.random.below(3)).unwrap()];
        spoken.applied();
        let [items, plain, log] = model.expected();
        let place = format!("{dialect:?} seed {seed} step {step}");
        let mut rows = |query: &str| spoken.bench.rows(query);
        assert_eq!(
            rows("select id, shop, slot, name from items order by id"),
            items,
            "{place}"
        );
        assert_eq!(
            rows("select id, name from plain order by id"),
            plain,
            "{place}"
        );
        let mut found = rows("select line from log");
        found.sort();
        assert_eq!(found, log, "{place}");
    }
}

#[test]
fn random_histories_leave_what_the_source_has() {
    let seed = match std::env::var_os(SEED_VARIABLE) {
        Some(seed) => seed.to_string_lossy().parse().unwrap(),
        None => u64::from(std::process::id()),
    };
    println!("{SEED_VARIABLE}={seed}");
    for dialect in ALL {
        run(dialect, seed);
    }
}
