//! Logs that rotate.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use testkit::{Launch, TaskFiles, wait_until};

use crate::rig::{Ran, SOON, Site, parent, runs, script, signal};

/// A log and what it was rotated to, oldest first.
fn parts(log: &Path) -> Vec<String> {
    let name = |number: usize| match number {
        0 => log.to_owned(),
        number => log.with_file_name(format!("{}.{number}", log.file_name().unwrap().display())),
    };
    let count = (0..).take_while(|number| name(*number).exists()).count();
    (0..count)
        .rev()
        .map(|number| fs::read_to_string(name(number)).unwrap())
        .collect()
}

/// Lines of many lengths, numbered; some are longer than a pipe takes at a time.
fn lines(numbers: std::ops::Range<usize>) -> String {
    numbers
        .map(|number| {
            let length = match number % 1000 {
                0 => 70_000,
                rest => rest * 7 % 300,
            };
            format!("{number} {}\n", "é".repeat(length / 2))
        })
        .collect()
}

#[test]
fn rotation_loses_no_line_and_cuts_none() {
    let site = Site::new(&TaskFiles::builder());
    let log = site.directory().join("miner.log");
    fs::write(&log, "before\n").unwrap();
    let mut writer = Command::new(script("rotate_log.sh"))
        .args(["--size", "100K", "--files", "1000"])
        .arg(&log)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = writer.stdin.take().unwrap();
    let text = lines(0..20_000);
    input.write_all(text.as_bytes()).unwrap();
    // It does not end before its input does.
    signal(i32::try_from(writer.id()).unwrap(), Signal::TERM);
    input.write_all(b"the end, without a newline").unwrap();
    drop(input);
    assert!(writer.wait().unwrap().success());

    let parts = parts(&log);
    assert_eq!(
        parts.concat(),
        format!("before\n{text}the end, without a newline")
    );
    assert!(parts.len() > 20, "{} files", parts.len());
    for part in parts.iter().rev().skip(1) {
        assert!(part.ends_with('\n'));
        assert!(
            (100_000..250_000).contains(&part.len()),
            "{} bytes",
            part.len()
        );
    }
}

#[test]
fn old_logs_are_bounded() {
    let site = Site::new(&TaskFiles::builder());
    let log = site.directory().join("miner.log");
    let mut writer = Command::new(script("rotate_log.sh"))
        .args(["--size", "16K", "--files", "3"])
        .arg(&log)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let text = lines(1..3_000);
    writer
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    assert!(writer.wait().unwrap().success());
    let parts = parts(&log);
    assert_eq!(parts.len(), 4);
    assert!(text.ends_with(&parts.concat()));
}

/// The kernel's full device, and a folder that is not there: a program that logs never waits.
#[test]
fn a_log_that_cannot_be_written_does_not_hold_up_the_program() {
    let site = Site::new(&TaskFiles::builder());
    let folder = site.directory().join("later");
    for log in [Path::new("/dev/full"), &folder.join("miner.log")] {
        let mut writer = Command::new(script("rotate_log.sh"))
            .arg(log)
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut input = writer.stdin.take().unwrap();
        input.write_all(lines(1..3_000).as_bytes()).unwrap();
        if log.starts_with(&folder) {
            fs::create_dir(&folder).unwrap();
            // What is read until the folder is seen may be dropped, too.
            wait_until(SOON, "the log to be written again", || {
                input.write_all(b"written again\n").unwrap();
                fs::read_to_string(log).is_ok_and(|text| text.ends_with("written again\n"))
            });
        }
        drop(input);
        assert!(writer.wait().unwrap().success());
    }
    let text = fs::read_to_string(folder.join("miner.log")).unwrap();
    assert!(text.contains("lines are missing here"), "{text}");
}

/// Where a program's lines go is beside the point here, so the program is a shell's.
#[test]
fn a_log_writer_that_is_killed_is_replaced_and_a_program_of_many_lines_keeps_them() {
    let site = Site::new(&TaskFiles::builder());
    fs::create_dir(site.directory().join("run")).unwrap();
    let program = "i=0; while [ $i -lt 500 ]; do i=$((i + 1)); echo line $i; done
        until [ -e go ]; do sleep 0.05; done
        while [ $i -lt 1000 ]; do i=$((i + 1)); echo line $i >&2; done; exit 3";
    let args = ["miner", "TERM", "2K", "100", "sh", "-c", program];
    let launch = Launch::new(script("lib/supervise.sh")).arg(site.directory());
    let wrapper = args.iter().fold(launch, Launch::arg).start();
    let log = site.directory().join("miner.log");
    wait_until(SOON, "the first lines", || {
        site.exists("miner.log") && parts(&log).concat().contains("line 500\n")
    });
    let supervisor = i32::try_from(wrapper.pid()).unwrap();
    let writer = child(supervisor, "rotate_log.sh");
    signal(writer, Signal::KILL);
    // What is left of the killed one goes on reading; the next one only reads behind it.
    wait_until(SOON, "the log writer to be gone", || !runs(writer));
    fs::write(site.directory().join("go"), "").unwrap();
    assert_eq!(Ran::wait(wrapper).code, Some(0));
    site.wait_exit("miner", 3);

    let text = parts(&log).concat();
    let found: Vec<u32> = text
        .lines()
        .map(|line| line.strip_prefix("line ").unwrap().parse().unwrap())
        .collect();
    assert_eq!(found, (1..=1000).collect::<Vec<_>>());
}

#[track_caller]
fn child(of: i32, name: &str) -> i32 {
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .find(|pid: &i32| {
            fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains(name))
                && runs(*pid)
                && parent(*pid) == Some(of)
        })
        .unwrap()
}
