//! Discover, and the list of objects of a registration: what there is, as links.

use std::ops::RangeInclusive;

use super::config::Version;
use super::context::Context;
use crate::account::{self, OSCORE, SECURITY};
use crate::attributes::Attributes;
use crate::coap::message::Code;
use crate::format::link::{self, Link};
use crate::model::ObjectModel;
use crate::objects::{Objects, Operation};
use crate::path::Path;
use crate::value::Resource;

/// Discover of an object, an instance or a resource.
pub(crate) fn discover(cx: &Context<'_>, path: &Path) -> Result<String, Code> {
    let object = cx.object(path)?;
    let mut links = Vec::new();
    match *path.ids() {
        [id] => {
            let instances = cx.objects.instances(id);
            if !instances.is_empty() && !instances.iter().any(|at| may(cx, id, *at)) {
                return Err(Code::UNAUTHORIZED);
            }
            let link = version(Link::new(*path), object, cx.version);
            links.push(cx.attributes.effective(path).show(link));
            for at in instances.into_iter().filter(|at| may(cx, id, *at)) {
                let path = Path::instance(id, at);
                links.push(cx.attributes.at(&path).show(Link::new(path)));
                links.extend(resources(cx, object, at));
            }
        }
        [_, at] => {
            cx.enter(path, Operation::Discover)?;
            links.push(cx.attributes.effective(path).show(Link::new(*path)));
            links.extend(resources(cx, object, at));
        }
        [_, at, resource] => {
            cx.enter(path, Operation::Discover)?;
            cx.resource(path)?;
            cx.instantiated(path)?;
            links.push(resource_link(cx, object, at, resource, &cx.attributes.effective(path)));
            if let (Version::V1_1, Some(Resource::Multiple(values))) = (cx.version, value(cx, path, object)) {
                let children = values.keys().filter_map(|index| path.child(*index));
                links.extend(children.map(|path| cx.attributes.at(&path).show(Link::new(path))));
            }
        }
        _ => return Err(Code::BAD_REQUEST),
    }
    Ok(link::encode(&links))
}

fn may(cx: &Context<'_>, object: u16, instance: u16) -> bool {
    cx.permits(Operation::Discover, object, Some(instance))
}

fn resources(cx: &Context<'_>, object: &ObjectModel, instance: u16) -> Vec<Link> {
    let ids = cx.objects.resources(object.id, instance).into_iter();
    let known = ids.filter(|id| object.resource(*id).is_some());
    let link = |id| {
        let own = cx.attributes.at(&Path::resource(object.id, instance, id));
        resource_link(cx, object, instance, id, &own)
    };
    known.map(link).collect()
}

fn resource_link(
    cx: &Context<'_>,
    object: &ObjectModel,
    instance: u16,
    id: u16,
    attributes: &Attributes,
) -> Link {
    let path = Path::resource(object.id, instance, id);
    let link = match value(cx, &path, object) {
        Some(Resource::Multiple(values)) => Link::new(path).plain("dim", values.len()),
        _ => Link::new(path),
    };
    attributes.show(link)
}

/// The value of a resource, when it may hold several: only their number is of interest.
fn value(cx: &Context<'_>, path: &Path, object: &ObjectModel) -> Option<Resource> {
    let model = object.resource(path.resource_id()?)?;
    if model.multiple { cx.objects.read(*path).ok() } else { None }
}

/// Objects that the enabler itself defines: from Security to Connectivity Statistics.
const CORE_OBJECTS: RangeInclusive<u16> = 0..=7;

/// Adds the version of an object, where it is not the one that everybody assumes. For a server of 1.0 the objects of
/// the enabler are those of 1.0, and old ones refuse a registration that says something else.
fn version(link: Link, object: &ObjectModel, version: Version) -> Link {
    match version {
        _ if object.version == "1.0" => link,
        Version::V1_0 if CORE_OBJECTS.contains(&object.id) => link,
        Version::V1_0 => link.quoted("ver", object.version),
        Version::V1_1 => link.plain("ver", object.version),
    }
}

/// Objects and instances as links. Objects 0 and 21 are for the bootstrap server alone.
fn tree(objects: &dyn Objects, enabler: Version, keep: impl Fn(u16) -> bool) -> Vec<Link> {
    let mut links = Vec::new();
    for model in objects.models().into_iter().filter(|model| keep(model.id)) {
        let instances = objects.instances(model.id);
        let object = version(Link::new(Path::object(model.id)), model, enabler);
        if instances.is_empty() || !object.attributes.is_empty() {
            links.push(object);
        }
        links.extend(instances.into_iter().map(|at| Link::new(Path::instance(model.id, at))));
    }
    links
}

/// The payload of a registration.
pub(crate) fn registration(objects: &dyn Objects, version: Version) -> String {
    let mut links = Vec::new();
    if version >= Version::V1_1 {
        links.push(Link::new(Path::ROOT).quoted("rt", "oma.lwm2m").plain("ct", 112));
    }
    links.extend(tree(objects, version, |id| id != SECURITY && id != OSCORE));
    link::encode(&links)
}

/// What a bootstrap server discovers: all objects, or one, without resources.
pub(crate) fn bootstrap(objects: &dyn Objects, path: &Path, enabler: Version) -> Result<String, Code> {
    let wanted = match *path.ids() {
        [] => None,
        [id] if objects.models().iter().any(|model| model.id == id) => Some(id),
        [_] => return Err(Code::NOT_FOUND),
        _ => return Err(Code::BAD_REQUEST),
    };
    let (mut accounts, bootstrap) = account::usable(objects);
    accounts.extend(bootstrap);
    let links: Vec<Link> = tree(objects, enabler, |id| wanted.is_none_or(|wanted| wanted == id))
        .into_iter()
        .map(|link| {
            let [object, instance] = *link.path.ids() else { return link };
            let account = accounts.iter().find(|account| match object {
                SECURITY => account.security == instance,
                account::SERVER => account.instance == Some(instance),
                _ => false,
            });
            let Some(account) = account else { return link };
            let link = if account.id == 0 { link } else { link.plain("ssid", account.id) };
            let with_uri = object == SECURITY && enabler >= Version::V1_1;
            if with_uri { link.quoted("uri", &account.uri) } else { link }
        })
        .collect();
    let list = link::encode(&links);
    let comma = if list.is_empty() { "" } else { "," };
    Ok(match (wanted, enabler) {
        (Some(_), _) => list,
        // In 1.0 the version stands alone at the beginning, which is not even link format.
        (None, Version::V1_0) => format!("lwm2m=\"1.0\"{comma}{list}"),
        (None, Version::V1_1) => format!("</>;lwm2m=1.1{comma}{list}"),
    })
}
