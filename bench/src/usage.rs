//! CPU time and memory of processes, as Linux accounts them. Source: proc(5).

use std::fs;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// Clock ticks per second in /proc; fixed for user space (`USER_HZ`, proc(5)).
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU seconds of a server so far: the process, its live descendants, and those that have
/// ended and were waited for.
pub(crate) fn server_cpu(pid: u32) -> f64 {
    let own = Stat::read(pid).map_or(0.0, |stat| stat.own + stat.reaped);
    own + children(pid)
        .into_iter()
        .filter_map(Stat::read)
        .map(|stat| stat.own + stat.reaped)
        .sum::<f64>()
}

fn children(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    fs::read_to_string(path)
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|child| child.parse().ok())
        .collect()
}

struct Stat {
    state: char,
    own: f64,
    reaped: f64,
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The command's name may hold anything; it ends with the last parenthesis.
        let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
        let ticks = |field: usize| fields.get(field)?.parse::<f64>().ok();
        Some(Self {
            state: fields.first()?.chars().next()?,
            own: (ticks(11)? + ticks(12)?) / TICKS_PER_SECOND,
            reaped: (ticks(13)? + ticks(14)?) / TICKS_PER_SECOND,
        })
    }
}

/// Peak resident memory, bytes; `None` once the process has ended.
fn peak_bytes(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// What a program has used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) cpu_seconds: f64,
    pub(crate) peak_bytes: u64,
}

/// A program that is watched until it ends.
pub(crate) struct Watched {
    child: Child,
    usage: Usage,
    done: bool,
}

impl Watched {
    pub(crate) fn start(command: &mut Command) -> Self {
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("start {command:?}: {error}"));
        Self {
            child,
            usage: Usage::default(),
            done: false,
        }
    }

    /// Looks at the program; whether it has ended. A program that has ended keeps its times
    /// until it is waited for.
    fn look(&mut self) -> bool {
        let pid = self.child.id();
        if let Some(peak) = peak_bytes(pid) {
            self.usage.peak_bytes = peak;
        }
        if let Some(stat) = Stat::read(pid) {
            self.usage.cpu_seconds = stat.own;
            self.done = stat.state == 'Z';
        }
        self.done
    }

    /// What a running program has used so far; ends it.
    pub(crate) fn stop(mut self) -> Usage {
        self.look();
        self.usage
    }

    fn finish(&mut self) -> (ExitStatus, Usage) {
        let status = self.child.wait().expect("the program is our child");
        (status, self.usage)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // One that has ended is not there any more; the others end with the bench.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Far above what any run takes: a program that hangs ends the bench.
const RUN_TIMEOUT: Duration = Duration::from_secs(1800);

/// Watches programs until all have ended well.
pub(crate) fn wait_all(mut programs: Vec<Watched>) -> Vec<Usage> {
    let started = Instant::now();
    // A program that fails leaves the others waiting: the first failure ends the bench.
    while !programs.iter().all(|program| program.done) {
        for program in &mut programs {
            if !program.done && program.look() {
                let (status, _) = program.finish();
                assert!(status.success(), "a program ended with {status}");
            }
        }
        assert!(
            started.elapsed() < RUN_TIMEOUT,
            "a program has not ended after {} s",
            RUN_TIMEOUT.as_secs()
        );
        std::thread::park_timeout(Duration::from_millis(2));
    }
    programs.iter().map(|program| program.usage).collect()
}
