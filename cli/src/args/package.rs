//! The command line of `scomoctl package`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// What to do with packages.
#[derive(Debug, Subcommand)]
pub enum PackageCommand {
    /// Build a package from its description
    Build {
        /// The description (YAML); paths in it are relative to it
        recipe: PathBuf,
        /// What to make: a .scomo file, or else a folder with an OCI layout; it must not exist
        #[arg(long, short)]
        output: PathBuf,
        /// Sign it at once with this private key (PEM)
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// Compress a .scomo file as a whole with zstd
        #[arg(long)]
        zstd: bool,
        /// Time stamp of files taken from folders, in seconds since 1970
        #[arg(long, value_name = "SECONDS", env = "SOURCE_DATE_EPOCH", default_value_t = 0)]
        epoch: u64,
    },
    /// Add a signature to a package
    Sign {
        /// Where the package is
        source: String,
        /// The private key (PEM)
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Repository that devices will read it from, written into the signature
        #[arg(long, value_name = "REPOSITORY")]
        reference: Option<String>,
    },
    /// Show what a package holds and who signed it
    Inspect {
        /// Where the package is
        source: String,
        /// A public key (PEM) that counts as trusted; may be given several times
        #[arg(long, value_name = "FILE")]
        key: Vec<PathBuf>,
    },
    /// Copy a package with its signatures to a registry
    Push {
        /// Where the package is: a .scomo file or a layout
        source: String,
        /// docker://host/repository:tag
        target: String,
    },
    /// Make a key pair: FILE and FILE.pub
    Keygen {
        /// File of the private key; neither it nor FILE.pub may exist
        file: PathBuf,
        /// The kind of key
        #[arg(long, value_enum, default_value_t = KeyType::P256)]
        r#type: KeyType,
    },
}

/// The kind of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum KeyType {
    /// ECDSA with the curve P-256
    P256,
    /// Ed25519
    Ed25519,
}

/// How registries are reached.
#[derive(Debug, Args)]
pub struct Access {
    /// Talk plain HTTP to this registry (host or host:port); may be given several times
    #[arg(long, global = true, value_name = "HOST")]
    pub plain_http: Vec<String>,
    /// File with user names and passwords, as docker and podman write it
    #[arg(long, global = true, value_name = "FILE", env = "REGISTRY_AUTH_FILE")]
    pub auth_file: Option<PathBuf>,
}
