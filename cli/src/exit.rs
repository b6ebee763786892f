//! Exit codes, and the failures that lead to them.
//!
//! The codes are an interface: scripts decide on them. A code keeps its meaning for ever; `docs/exit-codes.md` is
//! generated from this table.

use std::fmt;

use scomo_dbus::{Error, Job, WrongType};

/// An exit code with its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// What the process ends with.
    pub number: u8,
    /// What it means and what to do, for the documentation.
    pub meaning: &'static str,
}

macro_rules! codes {
    ($($name:ident = $number:literal, $meaning:literal;)+) => {
        $(#[doc = $meaning] pub const $name: Code = Code { number: $number, meaning: $meaning };)+
        /// Every code, in rising order.
        pub const ALL: &[Code] = &[$($name),+];
    };
}

codes! {
    OK = 0, "Done. What was asked for is true and durable; with --no-wait: the job was accepted.";
    FAILED = 1, "Failed for a reason that no other code names; the message says which.";
    USAGE = 2, "The command line, an identifier or a source is malformed. Nothing was asked of the device.";
    NOT_FOUND = 3, "There is no such package, component or job.";
    BUSY = 4, "Another job is under way. Wait for it ('scomoctl jobs') or cancel it.";
    DENIED = 5, "The caller may not do this. Run it as root or as a member of the group scomo.";
    UNREACHABLE = 6, "The daemon cannot be reached. See 'systemctl status scomod', or --bus.";
    NOT_NOW = 7, "Not possible in the present state, for example nothing to roll back to. Nothing was changed.";
    DOWNLOAD = 10, "The download failed. What ran before still runs; the same command may be given again.";
    UNTRUSTED = 11, "The package is not trusted or not valid. Nothing of it was installed.";
    NO_SPACE = 12, "No space left on the device. What ran before still runs; 'scomoctl gc' may help.";
    INSTALL = 13, "The operation failed and was reversed: what ran before runs again.";
    UNSUPPORTED = 14, "This device does not handle this kind of package or component.";
    CANCELLED = 20, "The job was cancelled and reversed.";
    SAFE_MODE = 30, "The daemon is in safe mode and changes nothing. 'scomoctl status' says why.";
    ROLLBACK = 40, "The operation failed and could not be reversed: the device needs attention.";
    REBOOT = 100, "Done so far, and durable: it becomes true with a reboot, and is final when the new OS proves healthy.";
    INTERRUPTED = 130, "Interrupted by Ctrl-C while waiting. The job goes on; 'scomoctl wait' watches it again.";
    BROKEN_PIPE = 141, "Whoever read the output went away. The command itself may have been carried out.";
}

/// Why the program ends without having done what was asked.
#[derive(Debug)]
pub struct Failure {
    /// What the process ends with.
    pub code: Code,
    /// A stable name for scripts: the D-Bus error's last element, or the failure kind of a job.
    pub name: String,
    /// For people; says what to do.
    pub message: String,
}

impl Failure {
    /// A failure found by this program itself.
    pub fn new(code: Code, name: &str, message: impl Into<String>) -> Self {
        Self { code, name: name.to_owned(), message: message.into() }
    }

    /// A malformed command line that clap could not see.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(USAGE, "Usage", message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        let code = if error.kind() == std::io::ErrorKind::BrokenPipe { BROKEN_PIPE } else { FAILED };
        Self::new(code, "Output", format!("cannot write the output: {error}"))
    }
}

impl From<WrongType> for Failure {
    fn from(error: WrongType) -> Self {
        Self::new(FAILED, "Protocol", error.to_string())
    }
}

impl From<zbus::Error> for Failure {
    fn from(error: zbus::Error) -> Self {
        Error::from(error).into()
    }
}

impl From<zbus::fdo::Error> for Failure {
    fn from(error: zbus::fdo::Error) -> Self {
        zbus::Error::from(error).into()
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::ZBus(below) => return transport(below),
            Error::AccessDenied(_) | Error::AclDenied(_) => DENIED,
            Error::InvalidArgument(_)
            | Error::UnknownOption(_)
            | Error::TooLong(_)
            | Error::UriTooLong(_)
            | Error::WrongFormat(_) => USAGE,
            Error::UnknownPackage(_)
            | Error::UnknownComponent(_)
            | Error::UnknownJob(_)
            | Error::UnknownReport(_)
            | Error::UnknownNode(_)
            | Error::NoSuchProperty(_) => NOT_FOUND,
            Error::Busy(_) => BUSY,
            Error::NotPossible(_)
            | Error::Exists(_)
            | Error::Incomplete(_)
            | Error::Required(_)
            | Error::Inhibited(_)
            | Error::WrongState(_)
            | Error::OsInUse(_)
            | Error::TooLate(_)
            | Error::NothingToRollBack(_)
            | Error::NothingToConfirm(_)
            | Error::LimitReached(_) => NOT_NOW,
            Error::NoSpace(_) => NO_SPACE,
            Error::SafeMode(_) => SAFE_MODE,
            Error::Unsupported(_) => UNSUPPORTED,
            Error::Failed(_) => FAILED,
        };
        let full = zbus::DBusError::name(&error).to_string();
        let name = full.rsplit('.').next().unwrap_or_default();
        Self::new(code, name, error.message())
    }
}

/// Whether the error says that nobody answers, so that a later try may succeed.
#[must_use]
pub fn is_unreachable(error: &zbus::Error) -> bool {
    use zbus::fdo::Error as Fdo;
    match error {
        zbus::Error::InputOutput(_) | zbus::Error::Connection(..) | zbus::Error::Handshake(_) => true,
        zbus::Error::FDO(error) => matches!(
            **error,
            Fdo::ServiceUnknown(_)
                | Fdo::NameHasNoOwner(_)
                | Fdo::NoReply(_)
                | Fdo::NoServer(_)
                | Fdo::Disconnected(_)
                | Fdo::TimedOut(_)
                | Fdo::SpawnServiceNotFound(_)
                | Fdo::SpawnFailed(_)
                | Fdo::SpawnChildExited(_)
                | Fdo::SpawnChildSignaled(_)
        ),
        _ => false,
    }
}

fn transport(error: &zbus::Error) -> Failure {
    if is_unreachable(error) {
        let hint = "is scomod running? 'systemctl status scomod' tells; --bus chooses another bus";
        return Failure::new(
            UNREACHABLE,
            "Unreachable",
            format!("cannot reach the daemon: {error} ({hint})"),
        );
    }
    if let zbus::Error::FDO(fdo) = error {
        match &**fdo {
            zbus::fdo::Error::AccessDenied(_) => {
                let hint = "run it as root or as a member of the group scomo";
                return Failure::new(DENIED, "AccessDenied", format!("the bus does not allow this: {hint}"));
            }
            zbus::fdo::Error::UnknownMethod(_) | zbus::fdo::Error::UnknownInterface(_) => {
                let text =
                    "the daemon does not know this command: scomoctl and scomod are of different versions";
                return Failure::new(UNSUPPORTED, "UnknownMethod", text);
            }
            _ => {}
        }
    }
    Failure::new(FAILED, "Transport", format!("the daemon gave no usable answer: {error}"))
}

/// The code that a job which ended stands for.
#[must_use]
pub fn of_job(job: &Job) -> Code {
    match job.result_code {
        1200..1300 => OK,
        1401 => CANCELLED,
        1402 | 1403 | 1500 | 1501 => DOWNLOAD,
        1404 | 1406 => NO_SPACE,
        1407 => UNTRUSTED,
        1411 | 1413 => UNSUPPORTED,
        1405 | 1408..=1410 | 1450 | 1451 => INSTALL,
        1452 => ROLLBACK,
        _ => FAILED,
    }
}

/// The table as `--help` and the reference show it.
#[must_use]
pub fn table() -> String {
    ALL.iter().map(|code| format!("{:>5}  {}\n", code.number, code.meaning)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_rise_and_are_unique() {
        assert!(ALL.windows(2).all(|pair| pair[0].number < pair[1].number));
    }

    #[test]
    fn a_job_decides_the_code() {
        let code = |result_code| of_job(&Job { result_code, ..Job::default() }).number;
        let got: Vec<u8> = [1200, 1250, 1401, 1402, 1501, 1406, 1407, 1413, 1405, 1450, 1451, 1452, 1412, 0]
            .into_iter()
            .map(code)
            .collect();
        assert_eq!(got, [0, 0, 20, 10, 10, 12, 11, 14, 13, 13, 13, 40, 1, 1]);
    }

    #[test]
    fn refusals_keep_their_name_and_text() {
        let failure = Failure::from(Error::Busy("job 3 is under way".to_owned()));
        assert_eq!((failure.code, failure.name.as_str()), (BUSY, "Busy"));
        assert_eq!(failure.to_string(), "job 3 is under way");
    }

    #[test]
    fn the_reference_is_up_to_date() {
        let rows: String = ALL.iter().map(|c| format!("| {} | {} |\n", c.number, c.meaning)).collect();
        let text = format!(
            "# Exit codes of scomoctl\n\nGenerated from `cli/src/exit.rs`.\nThe codes are an interface: a code keeps \
             its meaning, new ones may be added.\n\n| Code | Meaning |\n|---|---|\n{rows}"
        );
        expect_test::expect_file!["../../docs/exit-codes.md"].assert_eq(&text);
    }
}
