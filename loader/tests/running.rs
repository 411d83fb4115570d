//! Starting, stopping, dying, waiting: nothing is lost and nothing applied twice.

use std::time::Duration;

use testkit::{Durability, PgServer, Proxy, wait_until};

use crate::apply::{ITEMS, define_items};
use crate::bench::{Bench, TIMEOUT};
use crate::staged::{FILE, Lines};

const COUNT: &str = "select count(*) from items";

#[test]
fn it_runs_until_asked_to_stop_and_wakes_at_notifications() {
    let mut bench = Bench::new(ITEMS);
    let items = define_items(&mut bench);
    let mut running = bench.start(&[]);
    for id in 0..20 {
        bench.staged.transaction(|t| {
            t.insert(items, &format!("{id}\tn"));
        });
        wait_until(TIMEOUT, "the row", || {
            bench.rows(COUNT) == [(id + 1).to_string()]
        });
    }
    wait_until(TIMEOUT, "the state", || {
        bench.staging_rows(
            "select loader_state, backlog_rows, total_lag_seconds from mysql2gp.status",
        ) == ["running|0|0.000"]
    });
    running.program.sigterm();
    let (code, log) = running.finish();
    assert_eq!(code, 0, "{log}");
    assert_eq!(
        bench.staging_rows("select loader_state from mysql2gp.status"),
        ["stopped"]
    );
    assert!(!log.contains("ERROR") && !log.contains("WARN"), "{log}");
}

#[test]
fn killed_at_any_time_it_goes_on_where_it_was() {
    let mut bench = Bench::new(ITEMS);
    bench.set("binlogloader", "batch_bytes", 4000);
    bench.set("task", "lock_timeout", 60);
    let items = define_items(&mut bench);
    let mut next = 0;
    for kill in 0..6 {
        let mut running = bench.start(&[]);
        let transactions = (0..2000)
            .map(|_| {
                let mut lines = Lines::default();
                lines.insert(items, &format!("{next}\tn"));
                if next > 0 {
                    lines.update(items, &format!("{}\tm", next - 1));
                }
                next += 1;
                lines
            })
            .collect();
        bench.staged.commit(transactions);
        let wanted = kill * 2000 + 300 * (kill + 1);
        wait_until(TIMEOUT, "some batches", || {
            bench.rows(COUNT)[0].parse::<i32>().unwrap() >= wanted
        });
        running.program.kill9();
    }
    let (code, log) = bench.run(&["--once"]);
    assert_eq!(code, 0, "{log}");
    assert_eq!(
        bench.rows("select count(*), count(*) filter (where name = 'm') from items"),
        [format!("{next}|{}", next - 1)]
    );
    assert!(!log.contains("target held rows"), "{log}");
}

#[test]
fn a_reader_of_the_target_sees_whole_transactions_only() {
    let mut bench = Bench::new(ITEMS);
    bench.set("binlogloader", "batch_bytes", 3000);
    let items = define_items(&mut bench);
    let running = bench.start(&["--until", &format!("{FILE}:{}", 4 + 100 * 301)]);
    bench.staged.transaction(|t| {
        t.insert(items, "1\t0").insert(items, "2\t0");
    });
    for round in 1..=300 {
        bench.staged.transaction(|t| {
            t.update(items, &format!("1\t{round}"));
            t.update(items, &format!("2\t{round}"));
        });
        assert!(bench.rows("select count(distinct name) from items")[0] != "2");
    }
    let (code, log) = running.finish();
    assert_eq!(code, 0, "{log}");
    assert_eq!(bench.rows("select name from items"), ["300", "300"]);
}

#[test]
fn until_stops_at_the_transaction_that_reaches_the_position() {
    let mut bench = Bench::new(ITEMS);
    let items = define_items(&mut bench);
    let mut ends = Vec::new();
    for id in 0..5 {
        ends.push(bench.staged.transaction(|t| {
            t.insert(items, &format!("{id}\tn"));
        }));
    }
    let (code, log) = bench.run(&["--until", &ends[2]]);
    assert_eq!(code, 0, "{log}");
    assert_eq!(bench.applied(), ends[2]);
    assert_eq!(bench.rows(COUNT), ["3"]);
    // Reached already.
    assert_eq!(bench.run(&["--until", &ends[1]]).0, 0);
    assert_eq!(bench.rows(COUNT), ["3"]);
}

#[test]
fn once_applies_what_is_staged_and_moves_over_filtered_traffic() {
    let mut bench = Bench::new(ITEMS);
    let items = define_items(&mut bench);
    bench.staged.transaction(|t| {
        t.insert(items, "1\tone");
    });
    let end = bench.staged.pass_over(5000);
    bench.once();
    assert_eq!(bench.applied(), end);
    let end = bench.staged.pass_over(5000);
    bench.once();
    assert_eq!(bench.applied(), end);
    assert_eq!(bench.rows(COUNT), ["1"]);
}

#[test]
fn a_small_batch_waits_for_its_time_and_a_large_one_does_not() {
    let mut bench = Bench::new(ITEMS);
    bench.set("binlogloader", "load_batch", 10);
    bench.set("binlogloader", "load_batch_gap", 3);
    let items = define_items(&mut bench);
    let _running = bench.start(&[]);
    let started = std::time::Instant::now();
    bench.staged.transaction(|t| {
        t.insert(items, "1\tone");
    });
    wait_until(TIMEOUT, "the row", || {
        bench.rows("select to_regclass('mysql2gp.checkpoint')") != ["NULL"]
    });
    wait_until(TIMEOUT, "the row", || bench.rows(COUNT) == ["1"]);
    assert!(started.elapsed() >= Duration::from_secs(3));
    let started = std::time::Instant::now();
    for id in 0..10 {
        bench.staged.transaction(|t| {
            t.insert(items, &format!("{}\tx", id + 10));
        });
    }
    wait_until(TIMEOUT, "the rows", || bench.rows(COUNT) == ["11"]);
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[test]
fn a_second_loader_says_who_holds_the_task_and_leaves() {
    let mut bench = Bench::new(ITEMS);
    let items = define_items(&mut bench);
    let mut running = bench.start(&[]);
    bench.staged.transaction(|t| {
        t.insert(items, "1\tone");
    });
    wait_until(TIMEOUT, "the row", || bench.rows(COUNT) == ["1"]);
    let (code, log) = bench.run(&[]);
    assert_eq!(code, 1, "{log}");
    let holder = format!("pid {}", pid_of(&running));
    assert!(log.contains(&holder), "{holder}: {log}");
    bench.staged.transaction(|t| {
        t.insert(items, "2\ttwo");
    });
    wait_until(TIMEOUT, "the row", || bench.rows(COUNT) == ["2"]);
    running.program.sigterm();
    assert_eq!(running.finish().0, 0);
}

/// The program's own pid: the harness starts it through another one that becomes it.
fn pid_of(running: &crate::bench::Running) -> u32 {
    running.program.pid()
}

#[test]
fn a_fenced_loader_commits_nothing_more() {
    let mut bench = Bench::new(ITEMS);
    let items = define_items(&mut bench);
    let running = bench.start(&[]);
    bench.staged.transaction(|t| {
        t.insert(items, "1\tone");
    });
    wait_until(TIMEOUT, "the row", || bench.rows(COUNT) == ["1"]);
    // Somebody has taken over while this one was presumed dead.
    bench.rows("update mysql2gp.checkpoint set epoch = epoch + 1");
    bench.staged.transaction(|t| {
        t.insert(items, "2\ttwo");
    });
    let (code, log) = running.finish();
    assert_eq!(code, 3, "{log}");
    assert!(log.contains("taken over"), "{log}");
    assert_eq!(bench.rows(COUNT), ["1"]);
}

#[test]
fn a_lost_target_connection_is_made_again() {
    let mut bench = Bench::new(ITEMS);
    bench.set("task", "lock_timeout", 60);
    let items = define_items(&mut bench);
    let mut running = bench.start(&[]);
    for id in 0..5 {
        bench.staged.transaction(|t| {
            t.insert(items, &format!("{id}\tn"));
        });
        wait_until(TIMEOUT, "the row", || {
            bench.rows(COUNT) == [(id + 1).to_string()]
        });
        bench.rows(
            "select pg_terminate_backend(pid) from pg_stat_activity \
              where application_name = 'binlog_loader' and datname = current_database()",
        );
        bench.staging_rows(
            "select pg_terminate_backend(pid) from pg_stat_activity \
              where application_name like 'binlog_loader %' and datname = current_database()",
        );
    }
    bench.staged.transaction(|t| {
        t.insert(items, "9\tn");
    });
    wait_until(TIMEOUT, "the last row", || bench.rows(COUNT) == ["6"]);
    wait_until(TIMEOUT, "the state", || {
        bench.staging_rows("select loader_state, last_error from mysql2gp.status")
            == ["running|NULL"]
    });
    running.program.sigterm();
    let (code, log) = running.finish();
    assert_eq!(code, 0, "{log}");
}

#[test]
fn an_absent_target_is_waited_for_and_once_gives_up() {
    let mut bench = Bench::new(ITEMS);
    let items = define_items(&mut bench);
    bench.staged.transaction(|t| {
        t.insert(items, "1\tone");
    });
    bench.set(
        "desc.pgsql",
        "connect_string",
        "host=127.0.0.1 port=1 dbname=x user=x",
    );
    let (code, log) = bench.run(&["--once"]);
    assert_eq!(code, 1, "{log}");
    assert_eq!(log.matches("waiting for the server").count(), 1, "{log}");
    let mut running = bench.start(&[]);
    wait_until(TIMEOUT, "the state", || {
        bench.staging_rows("select loader_state from mysql2gp.status") == ["waiting_target"]
    });
    running.program.sigterm();
    assert_eq!(running.finish().0, 0);
}

#[test]
fn applied_segments_are_dropped_and_the_newest_stays() {
    let mut bench = Bench::new(ITEMS);
    bench.set("binlogloader", "keep_applied_seconds", 0);
    let items = define_items(&mut bench);
    for segment in 0..3 {
        bench.staged.next_segment();
        bench.staged.transaction(|t| {
            t.insert(items, &format!("{segment}\tn"));
        });
    }
    let mut running = bench.start(&[]);
    wait_until(TIMEOUT, "the drop", || {
        bench.staging_rows("select segment_no from mysql2gp.segment") == ["3"]
    });
    running.program.sigterm();
    assert_eq!(running.finish().0, 0);
    // What was dropped is not missed.
    bench.staged.transaction(|t| {
        t.insert(items, "7\tn");
    });
    bench.once();
    assert_eq!(bench.rows(COUNT), ["4"]);
    // A target that goes back behind what is kept is.
    bench.rows(&format!(
        "update mysql2gp.checkpoint set applied_file = '{FILE}', applied_pos = 50"
    ));
    let (code, log) = bench.run(&["--once"]);
    assert_eq!(code, 3, "{log}");
    assert!(log.contains("no longer staged"), "{log}");
}

#[test]
fn wiped_staging_is_read_from_the_checkpoint_on() {
    let mut bench = Bench::new(ITEMS);
    let items = define_items(&mut bench);
    bench.staged.transaction(|t| {
        t.insert(items, "1\tone");
    });
    bench.once();
    // A new incarnation, whose miner begins a little before the checkpoint.
    bench.staged.renew();
    let items = define_items(&mut bench);
    bench.staged.transaction(|t| {
        t.insert(items, "1\tone");
    });
    bench.staged.transaction(|t| {
        t.insert(items, "2\ttwo");
    });
    let (code, log) = bench.run(&["--once"]);
    assert_eq!(code, 0, "{log}");
    assert!(!log.contains("target held rows"), "{log}");
    assert_eq!(bench.rows(COUNT), ["2"]);
}

#[test]
fn servers_that_die_and_connections_that_break_are_waited_for() {
    let mut server = PgServer::builder().durability(Durability::Durable).start();
    let proxy = Proxy::to_port(server.port());
    let mut bench = Bench::on(&server, ITEMS, proxy.port());
    bench.set("task", "lock_timeout", 60);
    let items = define_items(&mut bench);
    let mut running = bench.start(&[]);
    let mut id = 0;
    for fault in 0..4 {
        for _ in 0..50 {
            bench.staged.transaction(|t| {
                t.insert(items, &format!("{id}\tn"));
                if id > 0 {
                    t.update(items, &format!("{}\tm", id - 1));
                }
            });
            id += 1;
        }
        if fault % 2 == 0 {
            proxy.cut();
            running.program.wait_log("waiting for the server", TIMEOUT);
            proxy.resume();
        } else {
            server.kill9();
            server.restart();
            bench.reconnect(&server);
        }
    }
    bench.staged.transaction(|t| {
        t.insert(items, "100000\tlast");
    });
    wait_until(TIMEOUT, "the last row", || {
        bench.rows("select name from items where id = 100000") == ["last"]
    });
    assert_eq!(
        bench.rows("select count(*), count(*) filter (where name = 'm') from items"),
        [format!("{}|{}", id + 1, id - 1)]
    );
    running.program.sigterm();
    let (code, log) = running.finish();
    assert_eq!(code, 0, "{log}");
    assert!(!log.contains("target held rows"), "{log}");
}

#[test]
fn a_stop_in_an_oversized_transaction_leaves_nothing_of_it() {
    let mut bench = Bench::new(ITEMS);
    bench.set("binlogloader", "batch_bytes", 5000);
    let items = define_items(&mut bench);
    bench.rows("create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(0.01); return new; end $$");
    bench.rows("create trigger slow before insert on items for each row execute function slow()");
    bench.rows("alter table items enable always trigger slow");
    bench.staged.transaction(|t| {
        for id in 0..2000 {
            t.insert(items, &format!("{id}\tn"));
        }
    });
    let mut running = bench.start(&[]);
    wait_until(TIMEOUT, "the first rows", || {
        bench.rows(
            "select 1 from pg_stat_activity where query like 'copy%items%' and datname = current_database() \
              and application_name = 'binlog_loader'",
        ) == ["1"]
    });
    // How far it is shows, though nothing of it is committed.
    let backlog = "select backlog_transactions, backlog_rows between 1 and 1999, backlog_rows from mysql2gp.status";
    wait_until(TIMEOUT, "some progress", || {
        bench.staging_rows(backlog)[0].starts_with("1|t|")
    });
    running.program.sigterm();
    let (code, log) = running.finish();
    assert_eq!(code, 0, "{log}");
    assert_eq!(bench.rows(COUNT), ["0"]);
    assert_eq!(bench.staging_rows(backlog), ["1|f|2000"]);
    bench.rows("drop trigger slow on items");
    bench.once();
    assert_eq!(bench.rows(COUNT), ["2000"]);
}

#[test]
fn a_miner_that_starts_again_begins_a_segment_with_its_first_chunk() {
    let mut bench = Bench::new(ITEMS);
    let items = define_items(&mut bench);
    bench.staged.restart_miner();
    bench.once();
    let mut running = bench.start(&[]);
    for id in 0..3 {
        bench.staged.next_segment();
        bench.staged.transaction(|t| {
            t.insert(items, &format!("{id}\tn"));
        });
        bench.staged.restart_miner();
        bench.staged.offset += 1000;
        bench.staged.restart_miner();
        let position = bench.staged.offset.to_string();
        wait_until(TIMEOUT, "the position", || {
            bench.staging_rows("select applied_pos from mysql2gp.status") == [position.clone()]
        });
    }
    running.program.sigterm();
    assert_eq!(running.finish().0, 0);
    bench.once();
    assert_eq!(bench.rows(COUNT), ["3"]);
}

#[test]
fn a_gap_beyond_all_time_holds_a_batch_until_it_is_full() {
    let mut bench = Bench::new(ITEMS);
    bench.set("binlogloader", "load_batch", 2);
    bench.set("binlogloader", "load_batch_gap", u64::MAX);
    let items = define_items(&mut bench);
    let running = bench.start(&[]);
    for id in 0..2 {
        bench.staged.transaction(|t| {
            t.insert(items, &format!("{id}\tn"));
        });
    }
    let end = bench.staged.offset.to_string();
    wait_until(TIMEOUT, "both rows", || {
        bench.staging_rows("select applied_pos from mysql2gp.status") == [end.clone()]
    });
    drop(running);
    bench.staged.transaction(|t| {
        t.insert(items, "2\tn");
    });
    bench.once();
    assert_eq!(bench.rows(COUNT), ["3"]);
}
