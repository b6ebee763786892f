//! The sysroot: its deployments, their order, and deploying next to what is there.
//!
//! The first deployment is the default of the boot loader. This module never removes or reorders what it is not asked
//! to, and never lets a deployment go without being told which ones stay.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use ostree::gio;
use ostree::glib;
use scomo_engine::backend::StepCx;

use crate::config::Config;
use crate::error::OsError;
use crate::namespace;

/// How long another program may hold the sysroot, for example an `ostree admin` at work.
const LOCK_WAIT: Duration = Duration::from_secs(60);
const LOCK_RETRY: Duration = Duration::from_millis(20);
/// Group in a deployment's origin that marks it as ours.
const ORIGIN_GROUP: &str = "scomo";
/// No cancellation: the step is short and ends on its own.
pub(crate) const NEVER: Option<&gio::Cancellable> = None;

/// An open sysroot.
#[derive(Debug)]
pub(crate) struct Os {
    sysroot: ostree::Sysroot,
    path: PathBuf,
    stateroot: Option<String>,
    kernel_args: Vec<String>,
}

/// The path of a sysroot's repository.
pub(crate) fn repo_path(config: &Config) -> PathBuf {
    config.sysroot.join("ostree/repo")
}

impl Os {
    /// Opens the sysroot for looking at it.
    pub(crate) fn look(config: &Config) -> Result<Self, OsError> {
        let os = Self::new(config, false)?;
        os.load()?;
        Ok(os)
    }

    /// Opens the sysroot for changing it, and keeps other programs out until the value is dropped.
    pub(crate) fn change(config: &Config, cx: &StepCx) -> Result<Self, OsError> {
        let os = Self::new(config, namespace::prepare(&config.sysroot)?)?;
        let deadline = Instant::now() + LOCK_WAIT;
        while !os.sysroot.try_lock().map_err(OsError::libostree("lock the sysroot"))? {
            if cx.cancelled() {
                return Err(OsError::Cancelled);
            }
            if Instant::now() >= deadline {
                let what = format!("another program holds {}/ostree/lock", os.path.display());
                return Err(OsError::Broken(what));
            }
            thread::sleep(LOCK_RETRY);
        }
        os.load()?;
        if os.sysroot.deployments().iter().any(ostree::Deployment::is_staged) {
            let what = "another tool has staged a deployment for the next boot; reboot, or drop it with \
                        'ostree admin undeploy 0'";
            return Err(OsError::Broken(what.to_owned()));
        }
        Ok(os)
    }

    fn new(config: &Config, private: bool) -> Result<Self, OsError> {
        let path = config.sysroot.clone();
        if !repo_path(config).is_dir() {
            let what = format!(
                "{} holds no OSTree system (no ostree/repo in it): correct 'sysroot' in the section 'os', or make one \
                 with 'ostree admin init-fs'",
                path.display()
            );
            return Err(OsError::Broken(what));
        }
        let sysroot = ostree::Sysroot::new(Some(&gio::File::for_path(&path)));
        if private {
            sysroot.set_mount_namespace_in_use();
        }
        Ok(Self {
            sysroot,
            path,
            stateroot: config.stateroot.clone(),
            kernel_args: config.kernel_args.clone(),
        })
    }

    fn load(&self) -> Result<(), OsError> {
        let what = format!("read the deployments of {}", self.path.display());
        self.sysroot.load(NEVER).map_err(OsError::libostree(what))
    }

    /// Its repository.
    pub(crate) fn repo(&self) -> ostree::Repo {
        self.sysroot.repo()
    }

    /// Every deployment, the default first.
    pub(crate) fn deployments(&self) -> Vec<ostree::Deployment> {
        self.sysroot.deployments()
    }

    /// The commit that the machine has really booted, if it has booted from this sysroot.
    pub(crate) fn booted_commit(&self) -> Option<String> {
        self.sysroot.booted_deployment().map(|d| d.csum().to_string())
    }

    /// The deployment of a commit: ours if there is one.
    pub(crate) fn deployment_of(&self, commit: &str) -> Option<ostree::Deployment> {
        let all: Vec<_> = self.deployments().into_iter().filter(|d| d.csum() == commit).collect();
        all.iter().find(|d| is_ours(d)).or_else(|| all.first()).cloned()
    }

    /// Deploys a commit after all others, with the kernel arguments and the `/etc` of `current`.
    pub(crate) fn deploy(
        &self,
        commit: &str,
        ref_name: &str,
        current: Option<&ostree::Deployment>,
        cancellable: &gio::Cancellable,
    ) -> Result<(), OsError> {
        // What a killed deploy left would stay until the next collect, and may be large on a small disk.
        self.sysroot.prepare_cleanup(NEVER).map_err(OsError::libostree("clean up unfinished deployments"))?;
        let stateroot = self.stateroot(current)?;
        let args = current.map_or_else(|| self.kernel_args.clone(), kernel_args);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let origin = origin(&self.sysroot, commit, ref_name);
        let new = self
            .sysroot
            .deploy_tree(Some(&stateroot), commit, Some(&origin), current, &args, Some(cancellable))
            .map_err(OsError::libostree(format!("deploy {commit}")))?;
        let mut all = self.deployments();
        all.push(new);
        self.write(&all)
    }

    fn stateroot(&self, current: Option<&ostree::Deployment>) -> Result<String, OsError> {
        let folder = self.path.join("ostree/deploy");
        if let Some(name) = &self.stateroot {
            let simple = !name.is_empty() && !name.starts_with('.') && !name.contains('/');
            return if simple && folder.join(name).is_dir() {
                Ok(name.clone())
            } else {
                let what =
                    format!("there is no stateroot '{name}'; make it with 'ostree admin os-init {name}'");
                Err(OsError::Broken(what))
            };
        }
        if let Some(current) = current {
            return Ok(current.osname().to_string());
        }
        let entries = fs::read_dir(&folder).map_err(OsError::file("read the folder", &folder))?;
        let mut names: Vec<String> = entries
            .filter_map(Result::ok)
            .filter(|entry| entry.path().is_dir())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        match (names.pop(), names.is_empty()) {
            (Some(name), true) => Ok(name),
            (Some(_), false) => Err(OsError::Broken(
                "there are several stateroots; name one in 'stateroot' in the section 'os'".into(),
            )),
            (None, _) => {
                Err(OsError::Broken("there is no stateroot; make one with 'ostree admin os-init'".into()))
            }
        }
    }

    /// What a new deployment takes its kernel arguments and `/etc` from: what is booted, else what would be.
    /// `booted` is the commit that the boot control says is booted.
    pub(crate) fn current(&self, booted: Option<&str>) -> Option<ostree::Deployment> {
        let played = booted.and_then(|commit| self.deployment_of(commit));
        let first = || {
            let first = self.deployments().into_iter().next();
            let stateroot = self.stateroot.clone().or_else(|| first.map(|d| d.osname().to_string()))?;
            self.sysroot.merge_deployment(Some(&stateroot))
        };
        played.or_else(|| self.sysroot.booted_deployment()).or_else(first)
    }

    /// Makes the deployment of a commit the default; the others keep their order. Nothing is written when it is.
    pub(crate) fn make_default(&self, commit: &str) -> Result<(), OsError> {
        let wanted = self.deployment_of(commit);
        let wanted = wanted.ok_or_else(|| {
            OsError::NotFound(format!("the commit {commit} is not deployed; stage it first"))
        })?;
        let all = self.deployments();
        if all.first().is_some_and(|first| first.equal(&wanted)) {
            return Ok(());
        }
        // Not `wanted.clone()`: that makes another object, and libostree knows the booted deployment by its address.
        let (mut order, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|d| d.equal(&wanted));
        order.extend(rest);
        self.write(&order)
    }

    /// Removes our deployments for which `gone` is true; their files go with the next cleanup. What is really booted
    /// and the last deployment of all stay.
    pub(crate) fn undeploy(&self, gone: impl Fn(&str) -> bool) -> Result<(), OsError> {
        let booted = self.booted_commit();
        let goes = |d: &ostree::Deployment| {
            is_ours(d) && gone(&d.csum()) && booted.as_deref().is_none_or(|booted| booted != d.csum())
        };
        let all = self.deployments();
        let mut rest: Vec<_> = all.iter().filter(|d| !goes(d)).cloned().collect();
        if rest.is_empty() {
            rest.extend(all.first().cloned());
        }
        if rest.len() == all.len() { Ok(()) } else { self.write(&rest) }
    }

    /// Deletes what no deployment and no ref needs.
    pub(crate) fn clean_up(&self) -> Result<(), OsError> {
        self.sysroot.cleanup(NEVER).map_err(OsError::libostree("clean up the sysroot"))
    }

    fn write(&self, order: &[ostree::Deployment]) -> Result<(), OsError> {
        // Without its own cleanup: that would prune the repository, which is what `collect` does.
        let options = ostree::SysrootWriteDeploymentsOpts { do_postclean: false };
        self.sysroot
            .write_deployments_with_options(order, &options, NEVER)
            .map_err(OsError::libostree("write the boot entries"))?;
        self.load()
    }
}

/// Whether this crate made the deployment.
pub(crate) fn is_ours(deployment: &ostree::Deployment) -> bool {
    deployment.origin().is_some_and(|origin| origin.has_group(ORIGIN_GROUP))
}

/// The kernel arguments of a deployment without the one that names it.
fn kernel_args(deployment: &ostree::Deployment) -> Vec<String> {
    let options = deployment.bootconfig().and_then(|config| config.get("options"));
    let args = ostree::KernelArgs::from_string(options.as_deref().unwrap_or_default()).to_strv();
    args.iter().map(ToString::to_string).filter(|arg| !arg.starts_with("ostree=")).collect()
}

fn origin(sysroot: &ostree::Sysroot, commit: &str, ref_name: &str) -> glib::KeyFile {
    let origin = sysroot.origin_new_from_refspec(if ref_name.is_empty() { commit } else { ref_name });
    origin.set_boolean(ORIGIN_GROUP, "managed", true);
    origin
}

/// Refuses when the file system of `path` has no room for `needed` more bytes and a reserve.
pub(crate) fn check_room(path: &Path, needed: u64, reserve: u64) -> Result<(), OsError> {
    let free = free_bytes(path)?;
    if free < needed.saturating_add(reserve) {
        return Err(OsError::NoSpace { path: path.to_owned(), free, needed, reserve });
    }
    Ok(())
}

/// The bytes that are free for this process in the file system of `path`.
fn free_bytes(path: &Path) -> Result<u64, OsError> {
    let fs = nix::sys::statvfs::statvfs(path)
        .map_err(|e| OsError::file("ask for the free space of", path)(e.into()))?;
    Ok(fs.blocks_available().saturating_mul(fs.fragment_size()))
}
