//! A line that says what is going on, rewritten on a terminal and plain elsewhere.
use std::{
    io::{IsTerminal, Write},
    sync::Mutex,
    time::Instant,
};

/// Shows one step at a time with the time it took.
#[derive(Debug)]
pub struct Progress {
    terminal: bool,
    current: Mutex<Option<(String, Instant)>>,
}

impl Progress {
    /// Writes to standard error.
    pub fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), current: Mutex::new(None) }
    }

    /// Ends the step before and begins another.
    pub fn step(&self, what: &str) {
        self.end();
        if self.terminal {
            eprint!("  … {what}");
            let _ = std::io::stderr().flush();
        }
        if let Ok(mut current) = self.current.lock() {
            *current = Some((what.to_owned(), Instant::now()));
        }
    }

    /// Ends the current step.
    pub fn end(&self) {
        let Ok(mut current) = self.current.lock() else { return };
        if let Some((what, started)) = current.take() {
            let seconds = started.elapsed().as_secs_f64();
            let back = if self.terminal { "\r\x1b[K" } else { "" };
            eprintln!("{back}  ✓ {what} ({seconds:.1} s)");
        }
    }
}
