//! What a run of scomoctl gave.

use std::fmt;
use std::process::Output;

use anyhow::{Result, ensure};

/// A run of scomoctl that ended.
#[derive(Debug)]
pub struct Ctl {
    /// Exit status; none: ended by a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl From<Output> for Ctl {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ctl {
    /// Its standard output; an exit status other than 0 is an error.
    pub fn ok(self) -> Result<String> {
        self.exits(0)?;
        Ok(self.out)
    }

    /// An error when the exit status is another one.
    pub fn exits(&self, code: i32) -> Result<()> {
        ensure!(self.code == Some(code), "the exit code must be {code}: {self}");
        Ok(())
    }

    /// An error when the exit status is another one or a word is missing in what people read.
    pub fn fails(&self, code: i32, words: &[&str]) -> Result<()> {
        self.exits(code)?;
        let text = format!("{}{}", self.out, self.err);
        for word in words {
            ensure!(text.contains(word), "'{word}' must be in the message: {self}");
        }
        Ok(())
    }
}

impl fmt::Display for Ctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "scomoctl ended with {:?}\n{}{}", self.code, self.out, self.err)
    }
}
