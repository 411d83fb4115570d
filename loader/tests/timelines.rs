//! Another server takes the source's place: positions begin anew, and the checkpoint goes over.

use common::table::DefinitionId;

use crate::apply::{ITEMS, define_items};
use crate::bench::Bench;
use crate::staged::{FILE, TIMELINE, varchar};

const SECOND: &str = "00000000-0000-4000-8000-000000000002";
const THIRD: &str = "00000000-0000-4000-8000-000000000003";
const OTHER: (&str, u64) = ("other-bin.000007", 4);

/// A row that would come twice without notice.
fn log_table(bench: &mut Bench) -> DefinitionId {
    bench.change("create table log (word text)");
    bench.staged.define("log", &[("word", varchar(20))], &[])
}

fn add(bench: &mut Bench, log: DefinitionId, word: &str) -> String {
    bench.staged.transaction(|t| {
        t.insert(log, word);
    })
}

fn words(bench: &mut Bench) -> String {
    bench.rows("select word from log order by word").join(" ")
}

fn checkpoint(bench: &mut Bench) -> String {
    bench
        .rows("select log_id || ' ' || applied_file || ':' || applied_pos from mysql2gp.checkpoint")
        .join(" ")
}

#[test]
fn the_checkpoint_goes_over_to_the_other_servers_log() {
    let mut bench = Bench::new(ITEMS);
    let log = log_table(&mut bench);
    add(&mut bench, log, "a");
    add(&mut bench, log, "b");
    bench.once();
    add(&mut bench, log, "c");
    bench.staged.pass_over(50);
    bench.staged.switch_server(SECOND, "log-2", OTHER);
    let end = add(&mut bench, log, "d");
    bench.once();
    assert_eq!(words(&mut bench), "a b c d");
    assert_eq!(checkpoint(&mut bench), format!("log-2 {end}"));
    add(&mut bench, log, "e");
    bench.staged.next_segment();
    add(&mut bench, log, "f");
    bench.once();
    assert_eq!(words(&mut bench), "a b c d e f");
}

#[test]
fn a_running_loader_goes_over_and_shows_it() {
    let mut bench = Bench::new(ITEMS);
    let log = log_table(&mut bench);
    let mut running = bench.start(&[]);
    add(&mut bench, log, "a");
    bench.staged.switch_server(SECOND, "log-2", OTHER);
    let end = add(&mut bench, log, "b");
    testkit::wait_until(crate::bench::TIMEOUT, "the second word", || {
        bench.rows("select count(*) from log") == ["2"]
    });
    testkit::wait_until(crate::bench::TIMEOUT, "the status", || {
        bench.staging_rows("select applied_file || ':' || applied_pos from mysql2gp.status")
            == [end.clone()]
    });
    running.program.sigterm();
    let (code, output) = running.finish();
    assert_eq!(code, 0, "{output}");
    assert!(
        output.contains("go over to another server's log"),
        "{output}"
    );
}

#[test]
fn a_switch_without_rows_moves_the_checkpoint_too() {
    let mut bench = Bench::new(ITEMS);
    let log = log_table(&mut bench);
    add(&mut bench, log, "a");
    bench.staged.switch_server(SECOND, "log-2", OTHER);
    bench.once();
    assert_eq!(
        checkpoint(&mut bench),
        format!("log-2 {}:{}", OTHER.0, OTHER.1)
    );
    bench.staged.pass_over(1000);
    bench.once();
    bench.staged.pass_over(1000);
    bench.staged.next_segment();
    add(&mut bench, log, "b");
    bench.once();
    assert_eq!(words(&mut bench), "a b");
}

#[test]
fn coming_back_to_the_first_server_skips_nothing() {
    for applied_before in [1, 2, 3] {
        let mut bench = Bench::new(ITEMS);
        let log = log_table(&mut bench);
        add(&mut bench, log, "a");
        if applied_before == 1 {
            bench.once();
        }
        bench.staged.switch_server(SECOND, "log-2", OTHER);
        add(&mut bench, log, "b");
        if applied_before == 2 {
            bench.once();
        }
        // The first server's log is read from its beginning; what was there is passed over.
        bench.staged.switch_server(THIRD, "log-1", (FILE, 4));
        if applied_before == 3 {
            bench.once();
        }
        bench.staged.pass_over(500);
        let end = add(&mut bench, log, "c");
        bench.once();
        assert_eq!(words(&mut bench), "a b c", "{applied_before}");
        assert_eq!(checkpoint(&mut bench), format!("log-1 {end}"));
    }
}

#[test]
fn a_target_that_was_restored_from_before_the_switch_gets_all_again() {
    let mut bench = Bench::new(ITEMS);
    let items = define_items(&mut bench);
    bench.staged.transaction(|t| {
        t.insert(items, "1\tone");
    });
    bench.once();
    bench.change(
        "create table saved as select * from mysql2gp.checkpoint; create table saved_items as select * from items",
    );
    bench.staged.transaction(|t| {
        t.insert(items, "2\ttwo");
    });
    bench.staged.switch_server(SECOND, "log-2", OTHER);
    bench.staged.transaction(|t| {
        t.insert(items, "3\tthree");
    });
    bench.once();
    bench.change(
        "delete from mysql2gp.checkpoint; insert into mysql2gp.checkpoint select * from saved; \
         delete from items; insert into items select * from saved_items",
    );
    bench.once();
    assert_eq!(
        bench.rows("select id, name from items order by id"),
        ["1|one", "2|two", "3|three"]
    );
    // And where that part is no longer staged, it stops.
    bench.staging_rows(
        "delete from mysql2gp.segment where segment_no = 1; update mysql2gp.timeline set dropped = true",
    );
    bench.change(
        "delete from mysql2gp.checkpoint; insert into mysql2gp.checkpoint select * from saved",
    );
    let (code, output) = bench.run(&["--once"]);
    assert_eq!(code, 3, "{output}");
    assert!(output.contains("no longer staged"), "{output}");
}

#[test]
fn a_target_restored_from_before_all_that_staging_knows_is_refused() {
    let mut bench = Bench::new(ITEMS);
    let log = log_table(&mut bench);
    add(&mut bench, log, "a");
    bench.once();
    bench.staged.renew();
    let log = bench.staged.define("log", &[("word", varchar(20))], &[]);
    // The miner went on from a checkpoint that the target has lost since.
    bench.staged.pass_over(5000);
    bench.staging_rows("update mysql2gp.timeline set start_pos = 5004");
    let (code, output) = bench.run(&["--once"]);
    assert_eq!(code, 3, "{output}");
    assert!(output.contains("no longer staged"), "{output}");
    add(&mut bench, log, "b");
    let (code, _) = bench.run(&["--once"]);
    assert_eq!(code, 3);
    assert_eq!(words(&mut bench), "a");
}

#[test]
fn wiped_staging_goes_on_at_another_server_from_exactly_the_checkpoint() {
    let mut bench = Bench::new(ITEMS);
    let log = log_table(&mut bench);
    let applied = add(&mut bench, log, "a");
    bench.once();
    bench.staged.renew();
    let log = bench.staged.define("log", &[("word", varchar(20))], &[]);
    let continues = |bench: &mut Bench, end: &str| {
        bench.staging_rows(&format!(
            "update mysql2gp.miner set timeline_id = '{SECOND}'; "
        ));
        bench.staging_rows(&format!(
            "update mysql2gp.timeline set timeline_id = '{SECOND}', log_id = 'log-2', \
                    previous_id = '{TIMELINE}', previous_end = '{end}'"
        ));
    };
    continues(&mut bench, &format!("{FILE}:9999"));
    let (code, output) = bench.run(&["--once"]);
    assert_eq!(code, 3, "{output}");
    assert!(output.contains("none that this staging"), "{output}");
    continues(&mut bench, &applied);
    bench.once();
    add(&mut bench, log, "b");
    bench.once();
    assert_eq!(words(&mut bench), "a b");
    assert!(checkpoint(&mut bench).starts_with("log-2 "));
}

#[test]
fn an_overlap_lasts_until_the_new_servers_end_unless_it_was_over() {
    let mut bench = Bench::new(
        "create table items (id integer primary key, name text); \
         insert into items values (1, 'later'), (2, 'two'), (3, 'three')",
    );
    let items = define_items(&mut bench);
    bench.staging_rows(&format!(
        "update mysql2gp.timeline set source_end = '{FILE}:9000'"
    ));
    bench.staged.transaction(|t| {
        t.insert(items, "1\tone");
    });
    bench.once();
    assert_eq!(
        bench.rows("select consistent_from from mysql2gp.checkpoint"),
        [format!("{FILE}:9000")]
    );
    bench.staged.switch_server(SECOND, "log-2", OTHER);
    bench.staged.transaction(|t| {
        t.update(items, "1\tlater").insert(items, "2\ttwo");
    });
    bench.once();
    assert_eq!(
        bench.rows("select consistent_from from mysql2gp.checkpoint"),
        ["other-bin.000007:10004"]
    );
    bench.staged.pass_over(20_000);
    bench.staged.transaction(|t| {
        t.insert(items, "4\tfour");
    });
    bench.once();
    bench
        .staged
        .switch_server(THIRD, "log-3", ("third.000001", 4));
    bench.staged.transaction(|t| {
        t.insert(items, "5\tfive");
    });
    bench.once();
    assert_eq!(
        bench.rows("select consistent_from from mysql2gp.checkpoint"),
        ["third.000001:4"]
    );
    assert_eq!(
        bench.staging_rows("select consistent_from from mysql2gp.status"),
        ["third.000001:4"]
    );
    assert_eq!(
        bench.rows("select count(*), max(name) filter (where id = 1) from items"),
        ["5|later"]
    );
}

#[test]
fn the_checkpoint_tells_the_gtids_of_each_batch_exactly() {
    let mut bench = Bench::new(ITEMS);
    let log = log_table(&mut bench);
    bench.staged.passed = "=0-1-5,1-1-3".into();
    let stop = add(&mut bench, log, "a");
    bench.staged.passed = "1-1-4".into();
    add(&mut bench, log, "b");
    let gtids = |bench: &mut Bench| {
        bench.rows("select coalesce(applied_gtid_set, 'unknown') from mysql2gp.checkpoint")
    };
    bench.run(&["--until", &stop]);
    // The line's own GTID is part of what it tells.
    assert_eq!(gtids(&mut bench), ["0-1-5,1-1-3"]);
    bench.staging_rows("update mysql2gp.miner set staged_gtid_set = '0-1-6,1-1-4'");
    bench.once();
    assert_eq!(gtids(&mut bench), ["0-1-6,1-1-4"]);
    assert_eq!(
        bench.staging_rows("select applied_gtid_set from mysql2gp.status"),
        ["0-1-6,1-1-4"]
    );
}

#[test]
fn staging_that_was_mined_again_may_begin_with_filtered_traffic() {
    let mut bench = Bench::new(ITEMS);
    let log = log_table(&mut bench);
    add(&mut bench, log, "a");
    bench.once();
    // A miner that goes back to the checkpoint numbers its segments on, and stages its position
    // before the first row comes.
    bench.staging_rows(
        "delete from mysql2gp.segment; update mysql2gp.timeline set start_pos = 104, resumed = true",
    );
    bench.staged.next_segment();
    bench.staging_rows("delete from mysql2gp.segment");
    bench.staged.pass_over(700);
    bench.staged.next_segment();
    add(&mut bench, log, "b");
    bench.once();
    assert_eq!(words(&mut bench), "a b");
}

#[test]
fn staging_that_began_with_a_checkpoint_is_none_for_a_first_start() {
    let mut bench = Bench::new(ITEMS);
    let log = log_table(&mut bench);
    add(&mut bench, log, "a");
    bench.staging_rows("update mysql2gp.timeline set resumed = true");
    let (code, output) = bench.run(&["--once"]);
    assert_eq!(code, 3, "{output}");
    assert_eq!(words(&mut bench), "");
}

#[test]
fn until_ends_at_its_position_or_where_another_servers_log_begins() {
    let mut bench = Bench::new(ITEMS);
    let log = log_table(&mut bench);
    let first = add(&mut bench, log, "a");
    add(&mut bench, log, "b");
    bench.staged.switch_server(SECOND, "log-2", OTHER);
    let other = add(&mut bench, log, "c");
    add(&mut bench, log, "d");
    for (until, expected) in [
        (first.as_str(), "a"),
        // Of this log there is less.
        ("mysql-bin.000001:9999", "a b"),
        (&other, "a b c"),
    ] {
        let (code, output) = bench.run(&["--until", until]);
        assert_eq!(code, 0, "{output}");
        assert_eq!(words(&mut bench), expected, "{until}");
    }
}
