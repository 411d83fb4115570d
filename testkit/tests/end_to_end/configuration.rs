//! Configuration files that are refused, and those that are accepted with a word.

use std::fs;

use testkit::{Launch, TaskFiles, binary};

use crate::rig::{Rig, assert_ends, assert_says, launch, loader, miner};

const PROGRAMS: [&str; 2] = ["binlog_miner", "binlog_loader"];

/// A task whose servers nobody asks.
fn nowhere() -> testkit::TaskBuilder {
    TaskFiles::builder()
        .set("src.mysql", "host", "127.0.0.1")
        .set("src.mysql", "port", 1)
        .set("src.mysql", "user", "somebody")
        .set("src.mysql", "password", "hush-hush")
        .set("src.mysql", "db", "app")
        .set("src.mysql", "binlogfile", "mysql-bin.000001")
        .staging("host=127.0.0.1 port=1 dbname=staging user=postgres password=hush-hush")
        .target(
            "host=127.0.0.1 port=1 dbname=target user=postgres password=hush-hush",
            "public",
        )
}

#[test]
fn a_missing_or_unreadable_configuration_is_a_usage_error() {
    let files = nowhere().write();
    let directory = files.directory();
    for name in PROGRAMS {
        // A folder is what root cannot read either.
        for path in [directory.join("absent.cfg"), directory.to_owned()] {
            let mut program = Launch::new(binary(name)).arg("-c").arg(&path).start();
            let path = path.display().to_string();
            assert_ends(&mut program, 2, &["read configuration", &path, "-c FILE"]);
        }
    }
    // Without -c it is my.cfg in the working directory, which here is not there.
    fs::remove_file(files.config()).unwrap();
    for name in PROGRAMS {
        let mut program = Launch::new(binary(name)).current_dir(directory).start();
        assert_ends(&mut program, 2, &["my.cfg"]);
    }
}

#[test]
fn wrong_keys_and_values_are_named_and_passwords_are_not() {
    let cases: [(testkit::TaskBuilder, &[&str]); 5] = [
        (
            nowhere().set("binlogloader", "load_bach", 1),
            &["\"load_bach\"", "did you mean \"load_batch\""],
        ),
        (
            nowhere().set("src.mysql", "port", "hush-hush"),
            &["src.mysql.port"],
        ),
        (nowhere().raw("password = hush-hush"), &["line"]),
        (
            nowhere().staging("host=127.0.0.1 dbnam=x password=hush-hush"),
            &["local.pgsql", "dbnam"],
        ),
        (
            nowhere().set("binlogloader", "loader_table_list", "absent.txt"),
            &["loader_table_list", "absent.txt"],
        ),
    ];
    for (config, words) in cases {
        let files = config.write();
        for name in PROGRAMS {
            let mut program = launch(name, &files, &[]).start();
            assert_ends(&mut program, 2, words);
            let said = program.stderr() + &program.stdout();
            assert!(!said.contains("hush"), "{said}");
        }
    }
}

#[test]
fn the_configuration_of_rds_dbsync_gets_a_clear_error() {
    // As its manual has it: no binlogfile, no list, a section for full loads.
    let files = TaskFiles::builder()
        .set("src.mysql", "host", "192.168.1.1")
        .set("src.mysql", "port", "3306")
        .set("src.mysql", "user", "test")
        .set("src.mysql", "password", "test")
        .set("src.mysql", "db", "test")
        .set("src.mysql", "encodingdir", "share")
        .set("src.mysql", "encoding", "utf8")
        .set(
            "src.pgsql",
            "connect_string",
            "host=192.168.1.1 dbname=test port=5888 user=test password=pgsql",
        )
        .staging("host=192.168.1.1 dbname=test port=5888 user=test password=pgsql")
        .target(
            "host=192.168.1.1 dbname=test port=5888 user=test password=pgsql",
            "test",
        )
        .write();
    for name in PROGRAMS {
        let mut program = launch(name, &files, &[]).start();
        assert_ends(&mut program, 2, &["rds_dbsync", "binlogfile"]);
    }
}

#[test]
fn the_section_of_full_loads_is_accepted_and_said_to_be_ignored() {
    let rig = Rig::start();
    let task = rig.small_task("full_load");
    let files = task
        .config
        .clone()
        .set(
            "src.pgsql",
            "connect_string",
            "host=nowhere dbname=x password=hush-hush",
        )
        .write();
    rig.source_sql(&["insert into t values (1, 'x')"]);
    for run in [miner, loader] {
        let mut program = run(&files, &["--once"]);
        assert_ends(&mut program, 0, &["[src.pgsql]", "ignored"]);
        assert!(!program.stderr().contains("hush"));
    }
    rig.assert_equal(&task, &["t"]);
}

#[test]
fn the_environment_wins_over_the_file() {
    let files = nowhere().write();
    for name in PROGRAMS {
        let mut program = launch(name, &files, &[])
            .env("MYSQL2GP__SRC__MYSQL__BINLOGFILE", "not a file name")
            .start();
        assert_ends(&mut program, 2, &["src.mysql.binlogfile"]);
    }
}

#[test]
fn help_and_wrong_arguments() {
    for name in PROGRAMS {
        let mut program = Launch::new(binary(name)).arg("--help").start();
        assert_ends(&mut program, 0, &[]);
        for word in ["--once", "--until", "check"] {
            assert!(
                program.stdout().contains(word),
                "{name}: {}",
                program.stdout()
            );
        }
        let mut program = Launch::new(binary(name)).arg("--nonsense").start();
        assert_ends(&mut program, 2, &[]);
        assert_says(&program, &["--nonsense"]);
    }
}
