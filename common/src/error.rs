//! What a program does about an error: one small vocabulary for both.
//!
//! Every error type has a `class`; the class alone decides between retrying and the exit
//! code. Unknown means stop.

use std::process::ExitCode;

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// A server is away or busy: try again with backoff.
    Unreachable,
    /// Failed; a restart may help.
    Failed,
    /// Wrong usage, configuration or credentials.
    Usage,
    /// An operator must act; a restart will not help.
    Operator,
}

impl ErrorClass {
    /// The exit code of a program that ends with this error.
    pub fn exit_code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Unreachable | Self::Failed => 1,
            Self::Usage => 2,
            Self::Operator => 3,
        })
    }
}

/// Runs a program; a panic is a bug, and ends it with the exit code of a failure.
pub fn exit_code_of(program: impl FnOnce() -> ExitCode) -> ExitCode {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(program)).unwrap_or_else(|_| {
        log::error!("failed by a panic, shown above: this is a bug, please report it");
        ErrorClass::Failed.exit_code()
    })
}

/// The error and its causes in one line, each cause once.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_with_the_exit_code_of_a_failure() {
        let code = exit_code_of(|| panic!("a bug"));
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(1)));
        let code = exit_code_of(|| ExitCode::from(3));
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(3)));
    }
}
