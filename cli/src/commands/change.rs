//! Commands that change something. Most start a job and watch it.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::Path;

use scomo_dbus::{
    DeliveryPackageProxy, DeploymentComponentProxy, Job, JobProxy, ManagerProxy, Options, path,
};
use zbus::{Connection, ObjectPath, OwnedObjectPath, Variant};

use super::{Context, look};
use crate::args::{Component, Deliver, Download, Install, Remove, WaitOnly, Waiting};
use crate::client::{self, Snapshot, not_found};
use crate::exit::{self, Code, Failure, OK};
use crate::json;
use crate::output::{self, Format};
use crate::source;
use crate::watch::{Watched, Watcher};

pub(super) async fn manager(connection: &Connection) -> Result<ManagerProxy<'static>, Failure> {
    client::proxy(connection, ObjectPath::try_from(path::ROOT)?).await
}

pub(super) fn request(waiting: &Waiting) -> Options<'_> {
    waiting.request_id.iter().map(|id| ("request-id", Variant::from(id.as_str()))).collect()
}

/// `install`.
pub async fn install(cx: &Context, args: Install) -> Result<Code, Failure> {
    let connection = cx.bus.connect(false).await?;
    let watcher = Watcher::new(&connection, cx.format == Format::Json).await?;
    let mut options = request(&args.waiting);
    if args.retry_failed {
        options.insert("retry-failed", Variant::from(true));
    }
    if args.ignore_window {
        options.insert("ignore-window", Variant::from(true));
    }
    let snapshot = if looks_like_id(&args.source) { Some(Snapshot::get(&connection).await?) } else { None };
    if let Some((path, _)) = snapshot.as_ref().and_then(|s| s.delivered(&args.source)) {
        if args.pkg_id.is_some() {
            return Err(Failure::usage(
                "--pkg-id is for packages that are downloaded; a delivered one has its id",
            ));
        }
        let package: DeliveryPackageProxy<'_> = client::proxy(&connection, path.as_ref()).await?;
        let job = if args.inactive {
            package.install_inactive(options).await?
        } else {
            package.install(options).await?
        };
        return finish(cx, watcher, &job, &args.waiting.wait).await;
    }
    let here = std::env::current_dir()?;
    let source = source::absolute(&args.source, &here)?;
    if let Some(id) = &args.pkg_id {
        options.insert("pkg-id", Variant::from(id.as_str()));
    }
    if args.inactive {
        options.insert("inactive", Variant::from(true));
    }
    let job = manager(&connection).await?.install(&source, options).await?;
    finish(cx, watcher, &job, &args.waiting.wait).await
}

/// A delivered package is named by its id, which could not be a source.
fn looks_like_id(text: &str) -> bool {
    !text.is_empty() && !text.contains("://") && !text.contains('/') && !text.ends_with(".scomo")
}

/// `download`.
pub async fn download(cx: &Context, args: Download) -> Result<Code, Failure> {
    let source = source::absolute(&args.source, &std::env::current_dir()?)?;
    let connection = cx.bus.connect(false).await?;
    let watcher = Watcher::new(&connection, cx.format == Format::Json).await?;
    let mut options = request(&args.waiting);
    options.insert("download-only", Variant::from(true));
    if args.ignore_window {
        options.insert("ignore-window", Variant::from(true));
    }
    if let Some(id) = &args.pkg_id {
        options.insert("pkg-id", Variant::from(id.as_str()));
    }
    let job = manager(&connection).await?.install(&source, options).await?;
    finish(cx, watcher, &job, &args.waiting.wait).await
}

/// `deliver`.
pub async fn deliver(cx: &Context, args: Deliver) -> Result<Code, Failure> {
    let pkg_id = match args.pkg_id {
        Some(id) => id,
        None => file_id(&args.file)?,
    };
    let shown = args.file.display();
    let file = File::open(&args.file).map_err(|error| {
        Failure::new(exit::NOT_FOUND, "NotFound", format!("cannot open '{shown}': {error}"))
    })?;
    let connection = cx.bus.connect(true).await?;
    manager(&connection).await?.deliver(&pkg_id, file.as_fd().into(), Options::new()).await?;
    match cx.format {
        Format::Json => output::json("done", &json::Done { target: pkg_id })?,
        Format::Text => {
            output::foreign(&format!("delivered as '{pkg_id}'; 'scomoctl install {pkg_id}' installs it"))?
        }
    }
    Ok(OK)
}

fn file_id(file: &Path) -> Result<String, Failure> {
    let name = file.file_name().and_then(|name| name.to_str());
    let stem = name.map(|name| name.strip_suffix(".scomo").unwrap_or(name)).filter(|stem| !stem.is_empty());
    let hint = || Failure::usage(format!("'{}' gives no PkgID; choose one with --pkg-id", file.display()));
    stem.map(str::to_owned).ok_or_else(hint)
}

/// `activate`.
pub async fn activate(cx: &Context, args: Component) -> Result<Code, Failure> {
    let connection = cx.bus.connect(false).await?;
    let watcher = Watcher::new(&connection, cx.format == Format::Json).await?;
    let job = component(&connection, &args.id).await?.activate(request(&args.waiting)).await;
    finish(cx, watcher, &or_no_component(job, &args.id)?, &args.waiting.wait).await
}

/// `deactivate`.
pub async fn deactivate(cx: &Context, args: Component) -> Result<Code, Failure> {
    let connection = cx.bus.connect(false).await?;
    let watcher = Watcher::new(&connection, cx.format == Format::Json).await?;
    let job = component(&connection, &args.id).await?.deactivate(request(&args.waiting)).await;
    finish(cx, watcher, &or_no_component(job, &args.id)?, &args.waiting.wait).await
}

async fn component(connection: &Connection, id: &str) -> Result<DeploymentComponentProxy<'static>, Failure> {
    client::proxy(connection, path::deployed(id).into()).await
}

/// An object that is not there means an id that is not there.
fn or_no_component<T>(result: zbus::Result<T>, id: &str) -> Result<T, Failure> {
    use zbus::fdo::Error as Fdo;
    match result {
        Err(zbus::Error::FDO(error))
            if matches!(
                &*error,
                Fdo::UnknownObject(_) | Fdo::UnknownInterface(_) | Fdo::UnknownMethod(_)
            ) =>
        {
            Err(not_found("component", id))
        }
        other => Ok(other?),
    }
}

/// `remove`.
pub async fn remove(cx: &Context, args: Remove) -> Result<Code, Failure> {
    let connection = cx.bus.connect(false).await?;
    let watcher = Watcher::new(&connection, cx.format == Format::Json).await?;
    let snapshot = Snapshot::get(&connection).await?;
    let id = args.id.as_str();
    let component = snapshot.component(id).filter(|_| !args.package);
    let delivered = snapshot.delivered(id).filter(|_| !args.component);
    let download = snapshot.download(id).filter(|_| !args.component);
    let options = request(&args.waiting);
    let job = match (component, delivered, download) {
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) => {
            let text = format!("'{id}' is a component and a package: add --component or --package");
            return Err(Failure::usage(text));
        }
        (Some((path, _)), None, None) => {
            let component: DeploymentComponentProxy<'_> = client::proxy(&connection, path.as_ref()).await?;
            component.remove(options).await?
        }
        (None, Some((path, _)), _) => {
            let package: DeliveryPackageProxy<'_> = client::proxy(&connection, path.as_ref()).await?;
            package.remove(options).await?
        }
        (None, None, Some((path, _))) => {
            let download: scomo_dbus::DownloadProxy<'_> = client::proxy(&connection, path.as_ref()).await?;
            download.delete(Options::new()).await?;
            return done(cx, id, "forgotten");
        }
        (None, None, None) => return Err(not_found("component or package", id)),
    };
    finish(cx, watcher, &job, &args.waiting.wait).await
}

/// `rollback`.
pub async fn rollback(cx: &Context, args: Waiting) -> Result<Code, Failure> {
    let connection = cx.bus.connect(false).await?;
    let watcher = Watcher::new(&connection, cx.format == Format::Json).await?;
    let job = manager(&connection).await?.rollback(request(&args)).await?;
    finish(cx, watcher, &job, &args.wait).await
}

/// `gc`.
pub async fn collect_garbage(cx: &Context, args: Waiting) -> Result<Code, Failure> {
    let connection = cx.bus.connect(false).await?;
    let watcher = Watcher::new(&connection, cx.format == Format::Json).await?;
    let job = manager(&connection).await?.collect_garbage(request(&args)).await?;
    finish(cx, watcher, &job, &args.wait).await
}

/// `confirm-boot`.
pub async fn confirm_boot(cx: &Context) -> Result<Code, Failure> {
    let connection = cx.bus.connect(false).await?;
    manager(&connection).await?.confirm_boot(Options::new()).await?;
    done(cx, "booted OS", "taken as healthy")
}

/// `cancel`.
pub async fn cancel(cx: &Context, job: u64, waiting: &WaitOnly) -> Result<Code, Failure> {
    let connection = cx.bus.connect(false).await?;
    let watcher = Watcher::new(&connection, cx.format == Format::Json).await?;
    let path = path::job(job);
    let proxy: JobProxy<'_> = client::proxy(&connection, path.as_ref()).await?;
    or_no_job(proxy.cancel(Options::new()).await, job)?;
    if waiting.no_wait {
        return done(cx, &format!("job {job}"), "being cancelled");
    }
    let watched = watcher.until_done(path.as_str()).await?;
    report(cx, &watched.job, watched.code)?;
    // Cancelling is what was asked for: a job that ended cancelled is success here.
    Ok(if watched.code == exit::CANCELLED { OK } else { watched.code })
}

fn or_no_job<T>(result: zbus::Result<T>, job: u64) -> Result<T, Failure> {
    or_no_component(result, "").map_err(|failure| {
        if failure.code == exit::NOT_FOUND && failure.name == "NotFound" {
            Failure::new(
                exit::NOT_FOUND,
                "UnknownJob",
                format!("there is no job {job}; 'scomoctl jobs --all' shows what there is"),
            )
        } else {
            failure
        }
    })
}

/// `wait`.
pub async fn wait(cx: &Context, job: u64) -> Result<Code, Failure> {
    let connection = cx.bus.connect(false).await?;
    let watcher = Watcher::new(&connection, cx.format == Format::Json).await?;
    let watched = watcher.until_done(path::job(job).as_str()).await;
    let Watched { job, code } = match watched {
        // Its object is gone, but it may still be remembered.
        Err(failure) if failure.code == exit::NOT_FOUND => {
            let ended = look::ended_jobs(&connection, u32::MAX).await?;
            let job = ended.into_iter().find(|ended| ended.id == job).ok_or(failure)?;
            Watched { code: exit::of_job(&job), job }
        }
        watched => watched?,
    };
    report(cx, &job, code)?;
    Ok(code)
}

pub(super) fn done(cx: &Context, target: &str, what: &str) -> Result<Code, Failure> {
    match cx.format {
        Format::Json => output::json("done", &json::Done { target: target.to_owned() })?,
        Format::Text => output::foreign(&format!("{target}: {what}"))?,
    }
    Ok(OK)
}

/// Watches the job, or not, and says how it is.
pub(super) async fn finish(
    cx: &Context,
    watcher: Watcher,
    job: &OwnedObjectPath,
    wait: &WaitOnly,
) -> Result<Code, Failure> {
    if wait.no_wait {
        let id = path::job_id(job.as_str()).unwrap_or_default();
        match cx.format {
            Format::Json => output::json("accepted", &json::Accepted { job: id })?,
            Format::Text => {
                output::line(&format!(
                    "job {id} accepted; 'scomoctl wait {id}' watches it, 'scomoctl cancel {id}' cancels it"
                ))?;
            }
        }
        return Ok(OK);
    }
    let Watched { job, code } = watcher.until_done(job.as_str()).await?;
    report(cx, &job, code)?;
    Ok(code)
}

/// Says how a job ended: success on standard output, anything else on standard error.
fn report(cx: &Context, job: &Job, code: Code) -> Result<(), Failure> {
    if cx.format == Format::Json {
        output::json("job", &json::OneJob { job: job.into(), exit_code: code.number })?;
        return Ok(());
    }
    let what = output::clean(&format!("job {} ({} {})", job.id, job.primitive, job.target));
    let what = what.replace(" )", ")");
    let why = output::clean(&job.message);
    if code == OK {
        let changed =
            if job.changed.is_empty() { String::new() } else { format!(": {}", job.changed.join(", ")) };
        output::foreign(&format!("{what} done{changed}"))?;
    } else if code == exit::REBOOT {
        output::foreign(&format!(
            "{what} waits for a reboot: reboot the device, then 'scomoctl wait {}'",
            job.id
        ))?;
    } else if code == exit::CANCELLED {
        output::note(&format!("{what} was cancelled"));
    } else {
        output::note(&format!("error: {what} failed with code {}: {why}", job.result_code));
        output::note(code.meaning);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_its_id() {
        assert_eq!(file_id(Path::new("/a/app-1.2.scomo")).unwrap(), "app-1.2");
        assert_eq!(file_id(Path::new("app")).unwrap(), "app");
        assert!(file_id(Path::new("/")).is_err());
    }

    #[test]
    fn ids_and_sources_differ() {
        assert!(looks_like_id("app-1"));
        for source in ["docker://r.example/a", "oci:/x", "./x", "x.scomo", ""] {
            assert!(!looks_like_id(source), "{source}");
        }
    }
}
