//! Commands that hold updates back or let them go on, and the outbox.

use std::os::unix::process::ExitStatusExt as _;

use scomo_dbus::{Manager, OptionMap, Options, ReportsProxy, path};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use zbus::{Connection, ObjectPath, OwnedVariant, Variant};

use super::change::{done, manager};
use super::{Context, agent};
use crate::args::policy::{Inhibit, PolicyCommand};
use crate::client;
use crate::exit::{Code, FAILED, Failure, NOT_FOUND, OK};
use crate::json;
use crate::output::{self, Format};

/// Carries out a command of this kind.
pub async fn run(cx: &Context, command: PolicyCommand) -> Result<Code, Failure> {
    match command {
        PolicyCommand::Approve { job } => approve(cx, job).await,
        PolicyCommand::Refuse { job, reason } => refuse(cx, job, reason.as_deref()).await,
        PolicyCommand::Reboot { ignore_inhibitors } => reboot(cx, ignore_inhibitors).await,
        PolicyCommand::Inhibit(args) => inhibit(cx, args).await,
        PolicyCommand::Inhibitors => inhibitors(cx).await,
        PolicyCommand::Agent(args) => agent::run(cx, &args).await,
        PolicyCommand::Reports { ack: Some(id), to: _ } => acknowledge(cx, id).await,
        PolicyCommand::Reports { ack: None, to } => reports(cx, to.as_deref()).await,
    }
}

async fn approve(cx: &Context, job: u64) -> Result<Code, Failure> {
    let connection = cx.bus.connect(false).await?;
    manager(&connection).await?.approve(job, Options::new()).await?;
    done(cx, &format!("job {job}"), "approved")
}

async fn refuse(cx: &Context, job: u64, reason: Option<&str>) -> Result<Code, Failure> {
    let connection = cx.bus.connect(false).await?;
    let options = reason.map(|reason| ("reason", Variant::from(reason))).into_iter().collect();
    manager(&connection).await?.refuse(job, options).await?;
    done(cx, &format!("job {job}"), "refused")
}

async fn reboot(cx: &Context, ignore_inhibitors: bool) -> Result<Code, Failure> {
    // Hooks may take their time.
    let connection = cx.bus.connect(true).await?;
    let options = Options::from([("ignore-inhibitors", Variant::from(ignore_inhibitors))]);
    manager(&connection).await?.reboot(options).await?;
    done(cx, "device", "going down")
}

async fn inhibit(cx: &Context, args: Inhibit) -> Result<Code, Failure> {
    let (program, arguments) =
        args.command.split_first().ok_or_else(|| Failure::usage("there is no command"))?;
    let connection = cx.bus.connect(false).await?;
    let who = args.who.as_deref().unwrap_or(program);
    let options = Options::from([("who", Variant::from(who))]);
    let lock = manager(&connection).await?.inhibit(&args.what, &args.why, options).await?;
    // A Ctrl-C is for the command; the lock is held until that has ended.
    let _ctrl_c = signal(SignalKind::interrupt());
    let ended = Command::new(program).args(arguments).status().await;
    drop(lock);
    let status = ended.map_err(|error| {
        let code = if error.kind() == std::io::ErrorKind::NotFound { NOT_FOUND } else { FAILED };
        Failure::new(code, "Command", format!("cannot run '{program}': {error}"))
    })?;
    let number = status.code().or_else(|| status.signal().map(|signal| signal.saturating_add(128)));
    let number = number.and_then(|number| u8::try_from(number).ok()).unwrap_or(u8::MAX);
    Ok(Code { number, meaning: "What the command ended with." })
}

async fn inhibitors(cx: &Context) -> Result<Code, Failure> {
    let connection = cx.bus.connect(false).await?;
    let device: Manager = client::read(&connection, path::ROOT).await?;
    let held = device.inhibitors.into_iter().map(|(what, who, why, uid, pid, since)| json::InhibitorJson {
        what,
        who,
        why,
        uid,
        pid,
        since,
    });
    let held: Vec<_> = held.collect();
    match cx.format {
        Format::Json => output::json("inhibitors", &json::Inhibitors { inhibitors: held })?,
        Format::Text if held.is_empty() => output::line("Nobody holds updates back.")?,
        Format::Text => {
            let row = |held: &json::InhibitorJson| {
                let (uid, pid) = (held.uid.to_string(), held.pid.to_string());
                vec![
                    held.what.clone(),
                    held.who.clone(),
                    uid,
                    pid,
                    output::time(held.since),
                    held.why.clone(),
                ]
            };
            let rows: Vec<_> = held.iter().map(row).collect();
            output::foreign(&output::table(&["WHAT", "WHO", "UID", "PID", "SINCE", "WHY"], &rows))?;
        }
    }
    Ok(OK)
}

async fn outbox(connection: &Connection) -> Result<ReportsProxy<'static>, Failure> {
    client::proxy(connection, ObjectPath::try_from(path::ROOT)?).await
}

async fn acknowledge(cx: &Context, id: u64) -> Result<Code, Failure> {
    let connection = cx.bus.connect(false).await?;
    outbox(&connection).await?.acknowledge(id, Options::new()).await?;
    done(cx, &format!("report {id}"), "taken")
}

async fn reports(cx: &Context, to: Option<&str>) -> Result<Code, Failure> {
    let connection = cx.bus.connect(false).await?;
    let options = to.map(|to| ("to", Variant::from(to))).into_iter().collect();
    let reports = outbox(&connection).await?.list(options).await?;
    let reports: Vec<_> = reports.iter().map(report).collect();
    match cx.format {
        Format::Json => output::json("reports", &json::Reports { reports })?,
        Format::Text if reports.is_empty() => output::line("No report waits.")?,
        Format::Text => {
            let row = |report: &json::ReportJson| {
                let (id, job, code) = (report.id, report.job, report.result_code);
                let [id, job] = [id, job].map(|number| number.to_string());
                let time = output::time(report.time);
                let what = [report.primitive.clone(), report.identifier.clone()];
                let [primitive, identifier] = what;
                vec![id, time, job, primitive, identifier, code.to_string(), report.to.clone()]
            };
            let rows: Vec<_> = reports.iter().map(row).collect();
            let head = ["REPORT", "TIME", "JOB", "PRIMITIVE", "TARGET", "CODE", "FOR"];
            output::foreign(&output::table(&head, &rows))?;
        }
    }
    Ok(OK)
}

fn report(map: &OptionMap) -> json::ReportJson {
    json::ReportJson {
        id: take(map, "Id"),
        job: take(map, "Job"),
        time: take(map, "Time"),
        to: take(map, "To"),
        uri: take(map, "Uri"),
        correlator: take(map, "Correlator"),
        primitive: take(map, "Primitive"),
        identifier: take(map, "Identifier"),
        result_code: take(map, "ResultCode"),
        nodes: take(map, "Nodes"),
    }
}

/// A value of a map; the default when it is missing, as from an older daemon.
fn take<T: Default + TryFrom<OwnedVariant>>(map: &OptionMap, key: &str) -> T {
    let value = map.get(key).and_then(|value| value.try_clone().ok());
    value.and_then(|value| T::try_from(value).ok()).unwrap_or_default()
}
