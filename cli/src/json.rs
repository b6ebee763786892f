//! The JSON form of results, version 1. Its fields are documented in `docs/cli-json.md`.
//!
//! These types are apart from those of the bus on purpose: the bus may grow without changing what scripts read.

use scomo_dbus::{DeliveryPackage, DeploymentComponent, Download, Job, Manager};
use serde::Serialize;

use crate::exit::Failure;

macro_rules! mirror {
    ($(#[$doc:meta])* $name:ident of $from:ident { $($field:ident: $ty:ty),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Serialize)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            $($field: $ty),+
        }

        impl From<&$from> for $name {
            fn from(from: &$from) -> Self {
                Self { $($field: from.$field.clone()),+ }
            }
        }
    };
}

mirror!(
    /// A package that can be downloaded.
    DownloadJson of Download {
        pkg_id: String, name: String, pkg_url: String, description: String, env_type: String, pkg_type: String,
        status: i32, status_name: String,
    }
);

mirror!(
    /// A delivered package.
    DeliveredJson of DeliveryPackage {
        pkg_id: String, name: String, version: String, description: String, env_type: String, pkg_type: String,
        source: String, digest: String, signed_by: String, components: Vec<String>,
        state: i32, state_name: String, status: i32, status_name: String,
        license: String, copyright: String, manufacturer: String, creator: String,
        creation_date: String, release_date: String, release_notes: String,
    }
);

mirror!(
    /// An installed component.
    ComponentJson of DeploymentComponent {
        id: String, pkg_id_ref: String, name: String, description: String, version: String,
        component_type: String, env_type: String, release: String, previous_version: String, size: u64, since: u64,
        state: i32, state_name: String, status: i32, status_name: String, message: String,
        license: String, copyright: String, manufacturer: String, creator: String,
        creation_date: String, release_date: String, release_notes: String,
    }
);

mirror!(
    /// A job.
    JobJson of Job {
        id: u64, primitive: String, target_kind: String, target: String, user: String, uid: u32,
        started: u64, finished: u64, phase: String, component: String, attempt: u32, retry_at: u64, percent: u32,
        bytes_done: u64, bytes_total: u64, bytes_reused: u64, message: String, waiting_for: String, reboot_needed: bool,
        result: String, failure_kind: String, result_code: u32, changed: Vec<String>,
    }
);

mirror!(
    /// The device.
    DeviceJson of Manager {
        version: String, safe_mode: String, store_trouble: String, booted: String, pending_reboot: bool,
        reboot_wanted: bool, reboot_waits_for: String, rollback_possible: bool,
    }
);

/// Kind `status`.
#[derive(Debug, Serialize)]
pub struct Status {
    /// The device.
    pub device: DeviceJson,
    /// What is installed.
    pub components: Vec<ComponentJson>,
    /// Jobs under way.
    pub jobs: Vec<JobJson>,
}

/// Kind `list`.
#[derive(Debug, Serialize)]
pub struct List {
    /// The Download branch.
    pub downloads: Vec<DownloadJson>,
    /// The Delivered branch.
    pub delivered: Vec<DeliveredJson>,
    /// The Deployed branch.
    pub components: Vec<ComponentJson>,
}

/// Kind `show`: whatever has this id.
#[derive(Debug, Default, Serialize)]
pub struct Show {
    /// The component.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<ComponentJson>,
    /// The delivered package.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivered: Option<DeliveredJson>,
    /// The package that can be downloaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub download: Option<DownloadJson>,
}

/// Kind `accepted`: a job was started and is not waited for.
#[derive(Debug, Serialize)]
pub struct Accepted {
    /// Number of the job.
    pub job: u64,
}

/// Kind `jobs` and kind `history`.
#[derive(Debug, Serialize)]
pub struct Jobs {
    /// Jobs.
    pub jobs: Vec<JobJson>,
}

/// Kind `job`.
#[derive(Debug, Serialize)]
pub struct OneJob {
    /// The job.
    pub job: JobJson,
    /// What the program ends with.
    #[serde(rename = "exitCode")]
    pub exit_code: u8,
}

/// Kind `done`: something that needs no job was done.
#[derive(Debug, Serialize)]
pub struct Done {
    /// What the change is about, for example a PkgID.
    pub target: String,
}

/// Kind `logs`.
#[derive(Debug, Serialize)]
pub struct Logs {
    /// Whose output.
    pub component: String,
    /// The output.
    pub text: String,
}

/// Kind `inhibitors`.
#[derive(Debug, Serialize)]
pub struct Inhibitors {
    /// Who holds updates back, oldest first.
    pub inhibitors: Vec<InhibitorJson>,
}

/// Who holds updates back.
#[derive(Debug, Serialize)]
pub struct InhibitorJson {
    /// `download`, `install`, `reboot`, with colons between.
    pub what: String,
    /// For people.
    pub who: String,
    /// For people.
    pub why: String,
    /// User of the program.
    pub uid: u32,
    /// The program.
    pub pid: u32,
    /// Since when.
    pub since: u64,
}

/// Kind `reports`.
#[derive(Debug, Serialize)]
pub struct Reports {
    /// Reports that nobody acknowledged, oldest first.
    pub reports: Vec<ReportJson>,
}

/// A report of the outbox.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportJson {
    /// Its number.
    pub id: u64,
    /// The job.
    pub job: u64,
    /// When the job ended.
    pub time: u64,
    /// Who is to be told.
    pub to: String,
    /// URI of the primitive.
    pub uri: String,
    /// What came with it.
    pub correlator: String,
    /// What the job did.
    pub primitive: String,
    /// PkgID or component ID.
    pub identifier: String,
    /// How it ended.
    pub result_code: u32,
    /// Objects that it made.
    pub nodes: Vec<String>,
}

/// Kind `error`.
#[derive(Debug, Serialize)]
pub struct ErrorJson {
    /// A stable name.
    name: String,
    /// For people.
    message: String,
    /// What the program ends with.
    #[serde(rename = "exitCode")]
    exit_code: u8,
}

impl From<&Failure> for ErrorJson {
    fn from(failure: &Failure) -> Self {
        Self { name: failure.name.clone(), message: failure.message.clone(), exit_code: failure.code.number }
    }
}
