//! Commands that only look.

use scomo_dbus::{
    DeliveryPackage, DeploymentComponent, Download, Job, Manager, ManagerProxy, OptionMap, Options,
    Properties as _,
};
use zbus::{Connection, ObjectPath, Variant};

use super::Context;
use crate::client::{self, Snapshot};
use crate::exit::{Code, Failure, OK};
use crate::json;
use crate::output::{self, Format, or_dash};
use crate::watch::phase_line;

async fn snapshot(cx: &Context) -> Result<Snapshot, Failure> {
    Snapshot::get(&cx.bus.connect(false).await?).await
}

/// `status`.
pub async fn status(cx: &Context) -> Result<Code, Failure> {
    let connection = cx.bus.connect(false).await?;
    let snapshot = Snapshot::get(&connection).await?;
    let running: Vec<&Job> =
        snapshot.jobs.iter().map(|(_, job)| job).filter(|j| j.result == "running").collect();
    if cx.format == Format::Json {
        let body = json::Status {
            device: (&snapshot.manager).into(),
            components: snapshot.components.iter().map(|(_, c)| c.into()).collect(),
            jobs: running.into_iter().map(Into::into).collect(),
        };
        output::json("status", &body)?;
        return Ok(OK);
    }
    let manager = &snapshot.manager;
    let mut text = output::fields(&[
        ("scomod", manager.version.clone()),
        ("SAFE MODE", manager.safe_mode.clone()),
        ("STORE TROUBLE", manager.store_trouble.clone()),
        ("booted OS", manager.booted.clone()),
        ("reboot", reboot(manager)),
        ("held back by", held_back(manager)),
        ("next window", next_window(&connection).await?),
        ("rollback", if manager.rollback_possible { "possible" } else { "" }.to_owned()),
    ]);
    text.push_str("\n\n");
    text.push_str(&components_table(&snapshot.components));
    for job in running {
        text.push_str(&format!(
            "\n\njob {}: {} {}, {} % {}",
            job.id,
            job.primitive,
            job.target,
            job.percent,
            phase_line(job)
        ));
    }
    output::foreign(&text)?;
    Ok(OK)
}

fn reboot(manager: &Manager) -> String {
    let wanted = match (manager.pending_reboot, manager.reboot_wanted) {
        (true, _) => "needed to finish a job",
        (false, true) => "wanted by a job that ended",
        (false, false) => return String::new(),
    };
    match manager.reboot_waits_for.as_str() {
        "" => wanted.to_owned(),
        waits_for => format!("{wanted}, waits for: {waits_for}"),
    }
}

fn held_back(manager: &Manager) -> String {
    let held = manager.inhibitors.iter().map(|(what, who, why, ..)| format!("{who} ({what}: {why})"));
    held.collect::<Vec<_>>().join(", ")
}

/// When the next maintenance window opens; empty: there is none.
async fn next_window(connection: &Connection) -> Result<String, Failure> {
    let root = ObjectPath::try_from(scomo_dbus::path::ROOT)?;
    let manager: ManagerProxy<'_> = client::proxy(connection, root).await?;
    let policy = manager.policy(Options::new()).await?;
    let open = policy.get("WindowOpen").is_some_and(|open| **open == Variant::from(true));
    let next = policy.get("NextWindow").and_then(|next| u64::try_from(&**next).ok());
    Ok(if open { "open now".to_owned() } else { output::time(next.unwrap_or_default()) })
}

/// `list`.
pub async fn list(cx: &Context) -> Result<Code, Failure> {
    let snapshot = snapshot(cx).await?;
    if cx.format == Format::Json {
        let body = json::List {
            downloads: snapshot.downloads.iter().map(|(_, d)| d.into()).collect(),
            delivered: snapshot.delivered.iter().map(|(_, d)| d.into()).collect(),
            components: snapshot.components.iter().map(|(_, c)| c.into()).collect(),
        };
        output::json("list", &body)?;
        return Ok(OK);
    }
    let mut parts = Vec::new();
    if !snapshot.downloads.is_empty() {
        let row = |(_, d): &(_, Download)| vec![d.pkg_id.clone(), d.status_name.clone(), d.pkg_url.clone()];
        let rows: Vec<_> = snapshot.downloads.iter().map(row).collect();
        parts.push(format!("Download\n{}", output::table(&["PKGID", "STATUS", "URL"], &rows)));
    }
    if !snapshot.delivered.is_empty() {
        let row = |(_, p): &(_, DeliveryPackage)| {
            let signed = or_dash(&p.signed_by);
            vec![
                p.pkg_id.clone(),
                or_dash(&p.version),
                p.state_name.clone(),
                busy_or_blank(&p.status_name),
                signed,
                p.source.clone(),
            ]
        };
        let rows: Vec<_> = snapshot.delivered.iter().map(row).collect();
        let head = ["PKGID", "VERSION", "STATE", "STATUS", "SIGNED BY", "SOURCE"];
        parts.push(format!("Delivered\n{}", output::table(&head, &rows)));
    }
    parts.push(format!("Deployed\n{}", components_table(&snapshot.components)));
    output::foreign(&parts.join("\n\n"))?;
    Ok(OK)
}

fn busy_or_blank(status: &str) -> String {
    if status == "idle" { "-".to_owned() } else { status.to_owned() }
}

fn components_table(components: &[(zbus::OwnedObjectPath, DeploymentComponent)]) -> String {
    if components.is_empty() {
        return "No component is installed; 'scomoctl install SOURCE' installs a package.".to_owned();
    }
    let row = |(_, c): &(_, DeploymentComponent)| {
        vec![
            c.id.clone(),
            or_dash(&c.version),
            c.component_type.clone(),
            c.state_name.clone(),
            busy_or_blank(&c.status_name),
            output::size(c.size),
            or_dash(&c.pkg_id_ref),
            c.message.clone(),
        ]
    };
    let rows: Vec<_> = components.iter().map(row).collect();
    output::table(&["ID", "VERSION", "TYPE", "STATE", "STATUS", "SIZE", "PACKAGE", ""], &rows)
}

/// `show`.
pub async fn show(cx: &Context, id: &str) -> Result<Code, Failure> {
    let snapshot = snapshot(cx).await?;
    let mut texts = Vec::new();
    let mut found = json::Show::default();
    if let Some((_, component)) = snapshot.component(id) {
        found.component = Some(component.into());
        texts.push(component_text(component));
    }
    if let Some((_, package)) = snapshot.delivered(id) {
        found.delivered = Some(package.into());
        texts.push(delivered_text(package));
    }
    if let Some((_, download)) = snapshot.download(id) {
        found.download = Some(download.into());
        texts.push(download_text(download));
    }
    if texts.is_empty() {
        return Err(client::not_found("component or package", id));
    }
    match cx.format {
        Format::Json => output::json("show", &found)?,
        Format::Text => output::foreign(&texts.join("\n\n"))?,
    }
    Ok(OK)
}

fn component_text(c: &DeploymentComponent) -> String {
    output::fields(&[
        ("component", c.id.clone()),
        ("name", c.name.clone()),
        ("version", c.version.clone()),
        ("description", c.description.clone()),
        ("type", c.component_type.clone()),
        ("state", c.state_name.clone()),
        ("status", c.status_name.clone()),
        ("problem", c.message.clone()),
        ("package", c.pkg_id_ref.clone()),
        ("previous version", c.previous_version.clone()),
        ("since", output::time(c.since)),
        ("size", output::size(c.size)),
        ("release", c.release.clone()),
        ("environment", c.env_type.clone()),
        ("licence", c.license.clone()),
        ("copyright", c.copyright.clone()),
        ("manufacturer", c.manufacturer.clone()),
        ("creator", c.creator.clone()),
        ("created", c.creation_date.clone()),
        ("released", c.release_date.clone()),
        ("release notes", c.release_notes.clone()),
    ])
}

fn delivered_text(p: &DeliveryPackage) -> String {
    output::fields(&[
        ("delivered package", p.pkg_id.clone()),
        ("name", p.name.clone()),
        ("version", p.version.clone()),
        ("description", p.description.clone()),
        ("state", p.state_name.clone()),
        ("status", p.status_name.clone()),
        ("components", p.components.join(", ")),
        ("source", p.source.clone()),
        ("digest", p.digest.clone()),
        ("signed by", p.signed_by.clone()),
        ("media type", p.pkg_type.clone()),
        ("environment", p.env_type.clone()),
        ("licence", p.license.clone()),
        ("copyright", p.copyright.clone()),
        ("manufacturer", p.manufacturer.clone()),
        ("creator", p.creator.clone()),
        ("created", p.creation_date.clone()),
        ("released", p.release_date.clone()),
        ("release notes", p.release_notes.clone()),
    ])
}

fn download_text(d: &Download) -> String {
    output::fields(&[
        ("package to download", d.pkg_id.clone()),
        ("name", d.name.clone()),
        ("url", d.pkg_url.clone()),
        ("description", d.description.clone()),
        ("status", d.status_name.clone()),
        ("media type", d.pkg_type.clone()),
        ("environment", d.env_type.clone()),
    ])
}

/// `jobs`.
pub async fn jobs(cx: &Context, all: bool) -> Result<Code, Failure> {
    let snapshot = snapshot(cx).await?;
    let jobs = snapshot.jobs.iter().map(|(_, job)| job).filter(|j| all || j.result == "running");
    if cx.format == Format::Json {
        output::json("jobs", &json::Jobs { jobs: jobs.map(Into::into).collect() })?;
        return Ok(OK);
    }
    let row = |j: &Job| {
        vec![
            j.id.to_string(),
            j.primitive.clone(),
            or_dash(&j.target),
            j.result.clone(),
            format!("{} %", j.percent),
            phase_line(j),
            j.message.clone(),
        ]
    };
    let rows: Vec<_> = jobs.map(row).collect();
    if rows.is_empty() {
        output::line("No job is under way; 'scomoctl history' shows those that ended.")?;
    } else {
        let head = ["JOB", "PRIMITIVE", "TARGET", "RESULT", "DONE", "PHASE", ""];
        output::foreign(&output::table(&head, &rows))?;
    }
    Ok(OK)
}

/// `history`.
pub async fn history(cx: &Context, limit: u32) -> Result<Code, Failure> {
    let jobs = ended_jobs(&cx.bus.connect(false).await?, limit).await?;
    if cx.format == Format::Json {
        output::json("history", &json::Jobs { jobs: jobs.iter().map(Into::into).collect() })?;
        return Ok(OK);
    }
    let row = |j: &Job| {
        let seconds = j.finished.saturating_sub(j.started) / 1000;
        let said = if j.message.is_empty() { j.changed.join(", ") } else { j.message.clone() };
        vec![
            j.id.to_string(),
            output::time(j.started),
            format!("{seconds} s"),
            j.primitive.clone(),
            or_dash(&j.target),
            j.result.clone(),
            j.result_code.to_string(),
            j.user.clone(),
            said,
        ]
    };
    let rows: Vec<_> = jobs.iter().map(row).collect();
    if rows.is_empty() {
        output::line("Nothing was done yet.")?;
    } else {
        let head = ["JOB", "STARTED", "TOOK", "PRIMITIVE", "TARGET", "RESULT", "CODE", "BY", ""];
        output::foreign(&output::table(&head, &rows))?;
    }
    Ok(OK)
}

/// Jobs that ended, newest first.
pub async fn ended_jobs(connection: &Connection, limit: u32) -> Result<Vec<Job>, Failure> {
    let root = ObjectPath::try_from(scomo_dbus::path::ROOT)?;
    let manager: ManagerProxy<'_> = client::proxy(connection, root).await?;
    let entries = manager.history(Options::from([("limit", Variant::from(limit))])).await?;
    entries.iter().map(entry_job).collect()
}

/// An entry of the history has a subset of a job's properties, under the same names but for its number.
fn entry_job(entry: &OptionMap) -> Result<Job, Failure> {
    let mut job = Job::from_map(entry)?;
    let number = entry.get("Job").and_then(|v| u64::try_from(&**v).ok());
    job.id = number.unwrap_or_default();
    job.phase = "finished".to_owned();
    job.percent = if (1200..1300).contains(&job.result_code) { 100 } else { 0 };
    Ok(job)
}

/// `logs`.
pub async fn logs(cx: &Context, id: &str, lines: u32) -> Result<Code, Failure> {
    let connection = cx.bus.connect(false).await?;
    let manager: ManagerProxy<'_> =
        client::proxy(&connection, ObjectPath::try_from(scomo_dbus::path::ROOT)?).await?;
    let text = manager.logs(id, Options::from([("lines", Variant::from(lines))])).await?;
    match cx.format {
        Format::Json => output::json("logs", &json::Logs { component: id.to_owned(), text })?,
        Format::Text => output::foreign(&text)?,
    }
    Ok(OK)
}
