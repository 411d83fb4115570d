//! What the stream says is on the target afterwards.

use crate::bench::Bench;
use crate::staged::{int, varchar};

const ITEMS: &str = "create table items (id integer primary key, name varchar(20))";

#[test]
fn inserts_updates_and_deletes_arrive() {
    let mut bench = Bench::new(ITEMS);
    let items = bench
        .staged
        .define("items", &[("id", int()), ("name", varchar(20))], &["id"]);
    bench.staged.transaction(|t| {
        t.insert(items, "1\tone").insert(items, "2\ttwo");
        t.insert(items, "3\tthree");
    });
    bench.once();
    assert_eq!(
        bench.rows("select * from items order by id"),
        ["1|one", "2|two", "3|three"]
    );

    let end = bench.staged.transaction(|t| {
        t.update(items, "1\tONE").delete(items, "2");
        t.update_key(items, "4\tthree", "3").insert(items, "5\t\\N");
    });
    bench.once();
    assert_eq!(
        bench.rows("select * from items order by id"),
        ["1|ONE", "4|three", "5|NULL"]
    );
    assert_eq!(bench.applied(), end);
}
