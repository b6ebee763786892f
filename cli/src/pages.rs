//! Completion scripts and manual pages, made from the command line's own description.

use std::io;
use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::args::Cli;
use crate::exit::{self, Code, FAILED, Failure, OK};
use crate::output;

/// `completions`.
pub fn completions(shell: Shell) -> Result<Code, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "scomoctl", &mut script);
    output::foreign(&String::from_utf8_lossy(&script))?;
    Ok(OK)
}

/// `man`: one page for the program and one for each command.
pub fn manual(folder: &Path) -> Result<Code, Failure> {
    let failed = |error: io::Error| {
        Failure::new(FAILED, "Output", format!("cannot write '{}': {error}", folder.display()))
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), folder).map_err(failed)?;
    let mut codes = String::from(
        ".TH scomoctl-exit-codes 1\n.SH NAME\nscomoctl-exit-codes \\- what scomoctl ends with\n.SH CODES\n",
    );
    for code in exit::ALL {
        codes.push_str(&format!(".TP\n.B {}\n{}\n", code.number, code.meaning.replace('\'', "\\(aq")));
    }
    std::fs::write(folder.join("scomoctl-exit-codes.1"), codes).map_err(failed)?;
    Ok(OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_a_page() {
        let folder = tempfile::tempdir().unwrap();
        manual(folder.path()).unwrap();
        for page in ["scomoctl.1", "scomoctl-install.1", "scomoctl-exit-codes.1"] {
            assert!(folder.path().join(page).is_file(), "{page}");
        }
    }
}
