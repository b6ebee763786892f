//! Software that the device is made with: installed once, by itself, and belonging to no package.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing)]

mod harness;

use std::time::Duration;

use harness::{Device, PATIENCE, Policy};
use scomo_dbus::{DeploymentComponent, ManagerProxy, OptionMap, Options, Properties as _, path};
use zbus::Connection;
use zbus::fdo::PropertiesProxy;

const CONFIG: &str = "[daemon]\nfactory = 'sim:factory@1?web&db'\n";

async fn component(connection: &Connection, id: &str) -> Option<DeploymentComponent> {
    let builder =
        PropertiesProxy::builder(connection).destination(scomo_dbus::BUS_NAME).path(path::deployed(id));
    let proxy = builder.build().await.unwrap();
    let map: OptionMap = proxy.get_all(DeploymentComponent::INTERFACE.try_into().unwrap()).await.ok()?;
    Some(DeploymentComponent::from_map(&map).unwrap())
}

/// The component once it has this version.
async fn in_version(connection: &Connection, id: &str, version: &str) -> DeploymentComponent {
    loop {
        match component(connection, id).await {
            Some(component) if component.version == version => return component,
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

fn on_bus<T>(device: &Device, body: impl AsyncFnOnce(Connection, ManagerProxy<'static>) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let work = async {
        let connection = zbus::connection::Builder::address(device.address().as_str()).build().await.unwrap();
        let manager = ManagerProxy::new(&connection).await.unwrap();
        body(connection, manager).await
    };
    runtime.block_on(async { tokio::time::timeout(PATIENCE, work).await.expect("in time") })
}

#[test]
fn factory_software_is_installed_once_and_has_no_package() {
    let mut device = Device::new(Policy::Open, CONFIG);
    device.start();
    on_bus(&device, async |connection, manager| {
        for id in ["web", "db"] {
            let component = in_version(&connection, id, "1").await;
            assert_eq!((component.pkg_id_ref.as_str(), component.state), ("", 20));
        }
        manager.install("sim:shop@2?web", Options::new()).await.unwrap();
        assert_eq!(in_version(&connection, "web", "2").await.pkg_id_ref, "shop");
    });
    device.kill();
    device.start();
    on_bus(&device, async |connection, manager| {
        assert_eq!(in_version(&connection, "web", "2").await.pkg_id_ref, "shop");
        assert!(manager.jobs().await.unwrap().is_empty(), "the factory does not come back");
    });
}

#[test]
fn factory_software_that_fails_is_tried_at_the_next_start() {
    let mut device = Device::new(Policy::Open, "[daemon]\nfactory = 'sim:missing@1?web'\n");
    for tries in 1..=2 {
        device.start();
        on_bus(&device, async |_, manager| {
            while manager.history(Options::new()).await.unwrap().len() < tries {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        device.kill();
    }
}
