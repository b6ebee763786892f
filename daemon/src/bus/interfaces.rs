//! The interfaces as the bus sees them: generated from dbus/xml.

mod delivery_package;
mod deployment_component;
mod download;
mod job;
mod manager;
mod reports;
mod tree;
