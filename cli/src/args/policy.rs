//! Commands that hold updates back, let them go on, and ask people.

use clap::{Args, Subcommand};

/// What to say about when updates may happen.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Let a job go on that waits for approval, a maintenance window, consent or a restart
    Approve {
        /// Number of the job
        job: u64,
    },
    /// End a job that waits for permission
    Refuse {
        /// Number of the job
        job: u64,
        /// Why, for people
        #[arg(long)]
        reason: Option<String>,
    },
    /// Restart the device
    Reboot {
        /// Even when somebody holds it back
        #[arg(long)]
        ignore_inhibitors: bool,
    },
    /// Hold updates back as long as a command runs
    Inhibit(Inhibit),
    /// List who holds updates back
    Inhibitors,
    /// Ask the questions of the daemon here, in the terminal, until Ctrl-C
    Agent(Agent),
    /// List the reports that wait to be taken, or take one
    Reports {
        /// Take the report of this number off the list
        #[arg(long, value_name = "ID")]
        ack: Option<u64>,
        /// Only those for this receiver
        #[arg(long, conflicts_with = "ack")]
        to: Option<String>,
    },
}

/// `inhibit`.
#[derive(Debug, Args)]
pub struct Inhibit {
    /// What to hold back: download, install, reboot, or several with colons between
    #[arg(long, default_value = "install:reboot")]
    pub what: String,
    /// Why, for people
    #[arg(long)]
    pub why: String,
    /// Who, for people; the command when left out
    #[arg(long)]
    pub who: Option<String>,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}

/// `agent`.
#[derive(Debug, Args)]
pub struct Agent {
    /// Answer yes to everything instead of asking
    #[arg(long, conflicts_with = "no")]
    pub yes: bool,
    /// Answer no to everything instead of asking
    #[arg(long)]
    pub no: bool,
}
