//! Commands on the SCOMO tree by URI.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsFd as _;

use scomo_core::tree::{TreeVersion, export};
use scomo_dbus::{Error, Options, TreeProxy};
use serde::Serialize;
use zbus::{Connection, Variant};

use super::Context;
use super::change::{done, finish, request};
use crate::args::Waiting;
use crate::args::tree::{Edition, Set, Tree, TreeCommand};
use crate::exit::{Code, FAILED, Failure, OK};
use crate::output::{self, Format};
use crate::watch::Watcher;

/// What the daemon calls a job that was done before its answer.
const NO_JOB: &str = "/";

/// Carries out a command of this kind.
pub async fn run(cx: &Context, command: TreeCommand) -> Result<Code, Failure> {
    match command {
        TreeCommand::Tree(args) => tree(cx, args).await,
        TreeCommand::Get { uri } => get(cx, &uri).await,
        TreeCommand::Set(args) => set(cx, args).await,
        TreeCommand::Add { uri } => {
            let connection = cx.bus.connect(false).await?;
            proxy(&connection).await?.add(&uri, "node", "", Options::new()).await?;
            done(cx, &uri, "added")
        }
        TreeCommand::Delete { uri } => {
            let connection = cx.bus.connect(false).await?;
            proxy(&connection).await?.delete(&uri, Options::new()).await?;
            done(cx, &uri, "deleted")
        }
        TreeCommand::Exec { uri, waiting } => exec(cx, &uri, &waiting).await,
    }
}

async fn proxy(connection: &Connection) -> Result<TreeProxy<'static>, Failure> {
    Ok(TreeProxy::builder(connection).cache_properties(zbus::proxy::CacheProperties::No).build().await?)
}

/// A node as `tree` shows it.
#[derive(Debug, Serialize)]
struct Node {
    uri: String,
    format: String,
    r#type: String,
    value: String,
}

async fn tree(cx: &Context, args: Tree) -> Result<Code, Failure> {
    if args.offline {
        let version = match args.edition {
            Edition::V1_0 => TreeVersion::V1_0,
            Edition::V1_1 => TreeVersion::V1_1,
        };
        output::foreign(&export::ddf(version))?;
        return Ok(OK);
    }
    let connection = cx.bus.connect(false).await?;
    let proxy = proxy(&connection).await?;
    let uri = match args.uri {
        Some(uri) => uri,
        None => proxy.root().await?,
    };
    if args.ddf || args.tnds {
        let form = if args.ddf { "ddf" } else { "tnds" };
        output::foreign(&proxy.export(form, &uri, Options::new()).await?)?;
        return Ok(OK);
    }
    let options = Options::from([("recursive", Variant::from(true))]);
    let nodes = proxy.list(&uri, options).await?;
    if cx.format == Format::Json {
        let node = |(uri, format, r#type, value)| Node { uri, format, r#type, value };
        let nodes: Vec<Node> = nodes.into_iter().map(node).collect();
        output::json("tree", &BTreeMap::from([("nodes", nodes)]))?;
    } else {
        let lines: Vec<(String, String)> =
            nodes.into_iter().map(|(uri, format, _, value)| (uri, shown(&format, value))).collect();
        output::foreign(&draw(&lines))?;
    }
    Ok(OK)
}

/// The value of a node in one line.
fn shown(format: &str, value: String) -> String {
    match format {
        "node" | "null" => String::new(),
        "bin" | "b64" => format!("({} characters of base64)", value.len()),
        _ => value.lines().next().unwrap_or_default().to_owned(),
    }
}

/// Draws nodes, parents first, as a tree.
fn draw(nodes: &[(String, String)]) -> String {
    let depth_of = |uri: &str| uri.matches('/').count();
    let first = nodes.first().map_or(0, |(uri, _)| depth_of(uri));
    let mut text = String::new();
    for (index, (uri, value)) in nodes.iter().enumerate() {
        let depth = depth_of(uri);
        let name = if depth == first { uri } else { uri.rsplit('/').next().unwrap_or(uri) };
        for level in first.saturating_add(1)..=depth {
            let last = is_last(nodes, index, level);
            text.push_str(match (level == depth, last) {
                (true, true) => "└── ",
                (true, false) => "├── ",
                (false, true) => "    ",
                (false, false) => "│   ",
            });
        }
        let sign = if value.is_empty() { "" } else { " = " };
        text.push_str(&format!("{name}{sign}{value}\n"));
    }
    text
}

/// Whether the node at `index`, or its ancestor at `level`, has no sibling after it.
fn is_last(nodes: &[(String, String)], index: usize, level: usize) -> bool {
    let mut after = nodes.iter().skip(index.saturating_add(1)).map(|(uri, _)| uri.matches('/').count());
    after.find(|depth| *depth <= level).is_none_or(|depth| depth < level)
}

async fn get(cx: &Context, uri: &str) -> Result<Code, Failure> {
    let connection = cx.bus.connect(false).await?;
    let (format, r#type, value) = proxy(&connection).await?.get(uri, Options::new()).await?;
    if cx.format == Format::Json {
        output::json("node", &Node { uri: uri.to_owned(), format, r#type, value })?;
    } else if format == "node" {
        output::foreign(&value.replace('/', "\n"))?;
    } else {
        output::foreign(&format!("{value}\n"))?;
    }
    Ok(OK)
}

async fn set(cx: &Context, args: Set) -> Result<Code, Failure> {
    let Set { uri, value, format, file } = args;
    // A file is copied before the answer.
    let connection = cx.bus.connect(file.is_some()).await?;
    let proxy = proxy(&connection).await?;
    if let Some(path) = file {
        let file = File::open(&path)
            .map_err(|e| Failure::new(FAILED, "File", format!("cannot open {}: {e}", path.display())))?;
        proxy.replace_data(&uri, file.as_fd().into(), Options::new()).await?;
        return done(cx, &uri, "set");
    }
    let (value, format) = (value.unwrap_or_default(), format.unwrap_or_default());
    match proxy.replace(&uri, &format, &value, Options::new()).await.map_err(Error::from) {
        Err(Error::UnknownNode(_)) => proxy.add(&uri, &format, &value, Options::new()).await?,
        other => other?,
    }
    done(cx, &uri, "set")
}

async fn exec(cx: &Context, uri: &str, waiting: &Waiting) -> Result<Code, Failure> {
    let connection = cx.bus.connect(false).await?;
    let watcher = Watcher::new(&connection, cx.format == Format::Json).await?;
    let job = proxy(&connection).await?.exec(uri, request(waiting)).await?;
    if job.as_str() == NO_JOB {
        return done(cx, uri, "done");
    }
    finish(cx, watcher, &job, &waiting.wait).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_drawn() {
        let node = |uri: &str, value: &str| (uri.to_owned(), value.to_owned());
        let nodes = [
            node("./SCOMO", ""),
            node("./SCOMO/Download", ""),
            node("./SCOMO/Download/p", ""),
            node("./SCOMO/Download/p/PkgID", "p"),
            node("./SCOMO/Inventory", ""),
            node("./SCOMO/Inventory/Delivered", ""),
        ];
        let drawn =
            "./SCOMO\n├── Download\n│   └── p\n│       └── PkgID = p\n└── Inventory\n    └── Delivered\n";
        assert_eq!(draw(&nodes), drawn);
        assert_eq!(draw(&[]), "");
    }

    #[test]
    fn values_take_one_line() {
        assert_eq!(shown("chr", "a\nb".to_owned()), "a");
        assert_eq!(shown("node", "a/b".to_owned()), "");
        assert_eq!(shown("bin", "Zm9v".to_owned()), "(4 characters of base64)");
    }
}
