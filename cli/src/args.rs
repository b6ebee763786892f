//! The command line.

#[cfg(feature = "package")]
pub mod package;
pub mod policy;
pub mod tree;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

/// Installs and manages the software of this device.
#[derive(Debug, Parser)]
#[command(name = "scomoctl", version, max_term_width = 110, disable_help_subcommand = true)]
#[command(
    after_help = "'scomoctl exit-codes' lists the exit codes. Sources are written as docker://host/repository:tag, \
                        oci:/folder[:reference], a .scomo file, or ostree+https://host/repository?ref=name."
)]
pub struct Cli {
    /// Bus on which the daemon is: system, session, or a D-Bus address
    #[arg(long, global = true, env = "SCOMO_BUS_ADDRESS", default_value = "system", value_name = "BUS")]
    pub bus: String,

    /// Print one JSON object (see docs/cli-json.md) instead of text
    #[arg(long, global = true)]
    pub json: bool,

    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    #[command(flatten)]
    Device(DeviceCommand),
    /// Build, sign, inspect and push packages; needs no device
    #[cfg(feature = "package")]
    Package {
        #[command(flatten)]
        access: crate::args::package::Access,
        /// What to do
        #[command(subcommand)]
        command: crate::args::package::PackageCommand,
    },
    /// List the exit codes
    ExitCodes,
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the manual pages into a folder
    #[command(hide = true)]
    Man {
        /// The folder
        folder: PathBuf,
    },
}

/// What to ask the daemon.
#[derive(Debug, Subcommand)]
pub enum DeviceCommand {
    /// Download and install a package, or install a delivered one by its PkgID
    Install(Install),
    /// Download a package without installing it
    Download(Download),
    /// Hand a .scomo file to the device without installing it
    Deliver(Deliver),
    /// Show how the device is: components, jobs, pending reboots
    Status,
    /// List packages and components
    List,
    /// Show everything about a component or package
    Show {
        /// Component ID or PkgID
        id: String,
    },
    /// Start an inactive component
    Activate(Component),
    /// Stop an active component; it stays installed
    Deactivate(Component),
    /// Take a component, or a package, off the device
    Remove(Remove),
    /// Bring back what was deployed before the last install
    Rollback(Waiting),
    /// Take the booted OS as healthy without waiting for its health window
    ConfirmBoot,
    /// List jobs under way
    Jobs {
        /// Also those that ended a short while ago
        #[arg(long)]
        all: bool,
    },
    /// Watch a job until it ends
    Wait {
        /// Number of the job
        job: u64,
    },
    /// Cancel a job; what it changed is reversed
    Cancel {
        /// Number of the job
        job: u64,
        #[command(flatten)]
        waiting: WaitOnly,
    },
    /// Show what was done, newest first
    History {
        /// How many jobs at most
        #[arg(long, short = 'n', default_value_t = 20)]
        limit: u32,
    },
    /// Show the last lines of a component's output
    Logs {
        /// Component ID
        id: String,
        /// How many lines
        #[arg(long, short = 'n', default_value_t = 100)]
        lines: u32,
    },
    /// Delete stored data that nothing needs
    Gc(Waiting),
    #[command(flatten)]
    Tree(tree::TreeCommand),
    #[command(flatten)]
    Policy(policy::PolicyCommand),
}

/// `install`.
#[derive(Debug, Args)]
pub struct Install {
    /// Where the package is, or the PkgID of a delivered package
    pub source: String,
    /// PkgID to give the package; made from the source when left out
    #[arg(long)]
    pub pkg_id: Option<String>,
    /// Install without starting anything
    #[arg(long)]
    pub inactive: bool,
    /// Also a package that failed on this device before
    #[arg(long)]
    pub retry_failed: bool,
    /// Maintenance windows do not count
    #[arg(long)]
    pub ignore_window: bool,
    #[command(flatten)]
    pub waiting: Waiting,
}

/// `download`.
#[derive(Debug, Args)]
pub struct Download {
    /// Where the package is
    pub source: String,
    /// PkgID to give the package; made from the source when left out
    #[arg(long)]
    pub pkg_id: Option<String>,
    /// Maintenance windows do not count
    #[arg(long)]
    pub ignore_window: bool,
    #[command(flatten)]
    pub waiting: Waiting,
}

/// `deliver`.
#[derive(Debug, Args)]
pub struct Deliver {
    /// The .scomo file
    pub file: PathBuf,
    /// PkgID to give the package; the name of the file without .scomo when left out
    #[arg(long)]
    pub pkg_id: Option<String>,
}

/// A component to change.
#[derive(Debug, Args)]
pub struct Component {
    /// Component ID
    pub id: String,
    #[command(flatten)]
    pub waiting: Waiting,
}

/// `remove`.
#[derive(Debug, Args)]
pub struct Remove {
    /// Component ID or PkgID
    pub id: String,
    /// The id is a PkgID; its components stay
    #[arg(long, conflicts_with = "component")]
    pub package: bool,
    /// The id is a component ID
    #[arg(long)]
    pub component: bool,
    #[command(flatten)]
    pub waiting: Waiting,
}

/// Whether to wait, and how to ask only once.
#[derive(Debug, Args)]
pub struct Waiting {
    #[command(flatten)]
    pub wait: WaitOnly,
    /// Asking again with the same id does not do it twice
    #[arg(long, value_name = "ID")]
    pub request_id: Option<String>,
}

/// Whether to wait for the end of the job.
#[derive(Debug, Args)]
pub struct WaitOnly {
    /// Wait for the end of the job (the default)
    #[arg(long, overrides_with = "no_wait")]
    pub wait: bool,
    /// Return as soon as the job is accepted
    #[arg(long)]
    pub no_wait: bool,
}
