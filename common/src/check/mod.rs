//! What `check` of both programs prints: one line for each precondition, `ok`, `warn` or
//! `FAIL`, and what both look at: staging, clocks, disks.
//!
//! Invariant: nothing here changes anything on a server. A failure says what to do; its class
//! is the exit code, and the worst one counts.

mod clock;
mod disk;
mod server;
mod staging;

use std::io::{self, Write};

use crate::error::{ErrorClass, chain};
use crate::patience::Patience;

pub use clock::{Clock, look_at_clock};
pub use disk::bytes_text;
pub use server::{Server, answers, look_at_database};
pub use staging::{Schema, look_at_staging};

/// How a precondition is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Ok,
    /// It works, and a person should know something about it.
    Warn,
    /// It is not; the program would end with this class of error.
    Fail(ErrorClass),
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How it is.
    pub verdict: Verdict,
    /// What is, and what to do about it.
    pub text: String,
}

impl Finding {
    /// A precondition that is met.
    pub fn ok(text: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Ok,
            text: text.into(),
        }
    }

    /// Something to know.
    pub fn warn(text: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Warn,
            text: text.into(),
        }
    }

    /// A precondition that is not met.
    pub fn fail(class: ErrorClass, text: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Fail(class),
            text: text.into(),
        }
    }
}

/// Prints findings and keeps the worst.
#[derive(Debug)]
pub struct Report<W> {
    out: W,
    patience: Option<Patience>,
    worst: Option<ErrorClass>,
    broken: Option<io::Error>,
}

impl<W: Write> Report<W> {
    /// Nothing is found yet.
    pub fn new(out: W) -> Self {
        Self {
            out,
            patience: None,
            worst: None,
            broken: None,
        }
    }

    /// From here on this server is asked; one that does not answer ends the process.
    pub fn asks(&mut self, server: impl Into<String>) {
        if self.patience.is_none() {
            // Without a thread nothing but this is lost.
            self.patience = Patience::new().ok();
        }
        if let Some(patience) = &mut self.patience {
            patience.ask(server);
        }
    }

    /// A precondition that is met.
    pub fn ok(&mut self, text: impl Into<String>) {
        self.add(&Finding::ok(text));
    }

    /// Something to know.
    pub fn warn(&mut self, text: impl Into<String>) {
        self.add(&Finding::warn(text));
    }

    /// A precondition that is not met.
    pub fn fail(&mut self, class: ErrorClass, text: impl Into<String>) {
        self.add(&Finding::fail(class, text));
    }

    /// The same, as an error tells it.
    pub fn fail_by(&mut self, class: ErrorClass, error: &dyn std::error::Error) {
        self.fail(class, chain(error));
    }

    /// Prints a line.
    pub fn add(&mut self, finding: &Finding) {
        let word = match finding.verdict {
            Verdict::Ok => "ok  ",
            Verdict::Warn => "warn",
            Verdict::Fail(class) => {
                if self.worst.is_none_or(|worst| rank(worst) < rank(class)) {
                    self.worst = Some(class);
                }
                "FAIL"
            }
        };
        // A text of several lines would not be one line for each check.
        let text = finding.text.replace('\n', " ");
        // Whoever reads the lines may take time.
        self.patience.iter().for_each(Patience::rest);
        if let Err(error) = writeln!(self.out, "{word} {text}") {
            self.broken.get_or_insert(error);
        }
        self.patience.iter().for_each(Patience::go_on);
    }

    /// Prints all of these lines.
    pub fn add_all(&mut self, findings: &[Finding]) {
        for finding in findings {
            self.add(finding);
        }
    }

    /// The class of the worst failure, if there is any.
    ///
    /// # Errors
    /// When the lines could not be written.
    pub fn finish(self) -> io::Result<Option<ErrorClass>> {
        match self.broken {
            Some(error) => Err(error),
            None => Ok(self.worst),
        }
    }
}

/// By exit code.
fn rank(class: ErrorClass) -> u8 {
    match class {
        ErrorClass::Unreachable | ErrorClass::Failed => 1,
        ErrorClass::Usage => 2,
        ErrorClass::Operator => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_one_each_and_the_worst_failure_counts() {
        let mut out = Vec::new();
        let mut report = Report::new(&mut out);
        report.ok("fine");
        report.fail(ErrorClass::Operator, "two\nlines");
        report.fail(ErrorClass::Unreachable, "away");
        report.warn("odd");
        assert_eq!(report.finish().ok(), Some(Some(ErrorClass::Operator)));
        assert_eq!(out, b"ok   fine\nFAIL two lines\nFAIL away\nwarn odd\n");
    }
}
