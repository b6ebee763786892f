//! The interface descriptions as shipped, for tests and for tools that generate code from them.

/// Interface name and XML of every interface of this service.
pub const INTERFACES: [(&str, &str); 7] = [
    ("org.scomo1.Manager", include_str!("../xml/org.scomo1.Manager.xml")),
    ("org.scomo1.Download", include_str!("../xml/org.scomo1.Download.xml")),
    ("org.scomo1.DeliveryPackage", include_str!("../xml/org.scomo1.DeliveryPackage.xml")),
    ("org.scomo1.DeploymentComponent", include_str!("../xml/org.scomo1.DeploymentComponent.xml")),
    ("org.scomo1.Job", include_str!("../xml/org.scomo1.Job.xml")),
    ("org.scomo1.Tree", include_str!("../xml/org.scomo1.Tree.xml")),
    ("org.scomo1.Reports", include_str!("../xml/org.scomo1.Reports.xml")),
];
