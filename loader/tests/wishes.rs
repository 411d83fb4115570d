//! What operators ask of a running loader.

use common::pg::Conninfo;
use common::pg::conninfo::Environment;
use common::table::TableName;
use loader::fetch::Fetcher;
use loader::fetch::wishes::{self, Taken};
use loader::target::{Held, Wish};

use crate::bench::{Bench, server};

/// A frozen loader keeps what it has locked, and does not answer.
#[test]
fn a_loader_that_is_frozen_at_a_wish_does_not_hold_up_who_has_asked() {
    let mut bench = Bench::new("create table items (id integer primary key)");
    let connect_string = server().connect_string(&format!("{}_staging", bench.name));
    let conninfo = Conninfo::parse(&connect_string, None, &Environment::default()).unwrap();
    let mut frozen = Fetcher::open(&conninfo, &bench.name).unwrap();
    let asking = &mut bench.staged.client;
    asking
        .batch_execute("set statement_timeout = '60s'")
        .unwrap();
    let table = TableName::new("shop", "items");
    let id = wishes::ask(asking, Wish::Pause, &table).unwrap();
    assert_eq!(frozen.take_up(id).unwrap(), Taken::Up);

    assert_eq!(wishes::withdraw(asking, id).unwrap(), None);
    assert!(frozen.answer(id, Held::Paused).is_err());
}
