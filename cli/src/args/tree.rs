//! Commands on the SCOMO tree by URI.

use clap::{Args, Subcommand, ValueEnum};

/// What to do with nodes of the SCOMO tree.
#[derive(Debug, Subcommand)]
pub enum TreeCommand {
    /// Draw the SCOMO tree, or print it as a document
    Tree(Tree),
    /// Show a node of the SCOMO tree: its value, or the names of its children
    Get {
        /// URI of the node, for example ./SCOMO/Inventory; ?prop=ACL shows a property
        uri: String,
    },
    /// Give a node of the SCOMO tree a value, and make it when it is not there
    Set(Set),
    /// Make an interior node of the SCOMO tree
    Add {
        /// URI of the node
        uri: String,
    },
    /// Delete a node of the SCOMO tree and all below it
    Delete {
        /// URI of the node
        uri: String,
    },
    /// Start a primitive of the SCOMO tree
    Exec {
        /// URI of a leaf below Operations
        uri: String,
        #[command(flatten)]
        waiting: super::Waiting,
    },
}

/// `tree`.
#[derive(Debug, Args)]
pub struct Tree {
    /// Where to begin; the root of the SCOMO tree when left out
    pub uri: Option<String>,
    /// Print the description of the tree (DDF 1.2) instead
    #[arg(long, conflicts_with = "tnds")]
    pub ddf: bool,
    /// Print the nodes as one document (TNDS) instead
    #[arg(long)]
    pub tnds: bool,
    /// Do not ask the daemon; only for --ddf
    #[arg(long, requires = "ddf")]
    pub offline: bool,
    /// Edition of the description; only for --offline
    #[arg(long, value_enum, default_value = "1.1", requires = "offline")]
    pub edition: Edition,
}

/// Editions of the SCOMO management object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Edition {
    /// Without the nodes that 1.1 added
    #[value(name = "1.0")]
    V1_0,
    /// With them
    #[value(name = "1.1")]
    V1_1,
}

/// `set`.
#[derive(Debug, Args)]
pub struct Set {
    /// URI of the node; with ?prop=ACL, ?prop=Title or ?prop=Name that property is set
    pub uri: String,
    /// The value; bytes in base64
    #[arg(required_unless_present = "file")]
    pub value: Option<String>,
    /// Format of the value when the node does not say it: chr, int, bin, bool …
    #[arg(long)]
    pub format: Option<String>,
    /// Hand over this file; for the Data of a delivered package
    #[arg(long, conflicts_with_all = ["value", "format"])]
    pub file: Option<std::path::PathBuf>,
}
