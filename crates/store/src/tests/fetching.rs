//! Fetching from the source of a package: what is asked of it, and what is not when there is no room.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use scomo_core::effect::Progress;
use scomo_core::failure::FailureKind;
use scomo_core::id::Digest;
use scomo_package::{Layer, PackageError, PayloadSource};

use super::kit::{Fixture, Image, Tar, digest, lacks_root};
use crate::{Imported, StoreError, Watch};

/// A source in memory that counts what is asked of it.
struct Source<'a> {
    image: &'a Image,
    asked: usize,
}

impl PayloadSource for Source<'_> {
    fn image(&mut self, _digest: &Digest) -> Result<scomo_package::Image, PackageError> {
        unreachable!("the caller has the image")
    }

    fn layer(&mut self, layer: &Layer) -> Result<Box<dyn Read + Send>, PackageError> {
        self.asked += 1;
        let index = self.image.layers.iter().position(|l| l == layer).unwrap();
        Ok(Box::new(Cursor::new(self.image.blobs[index].clone())))
    }
}

fn fetch(
    fixture: &Fixture,
    image: &Image,
    reserve_bytes: u64,
) -> (Result<Imported, StoreError>, usize, Progress) {
    let wanted = scomo_package::Image {
        digest: Digest::new(format!("sha256:{}", image.id().as_str())).unwrap(),
        config_digest: digest(b"{}"),
        config_json: b"{}".to_vec(),
        annotations: BTreeMap::new(),
        layers: image.layers.clone(),
    };
    let mut source = Source { image, asked: 0 };
    let mut last = Progress::default();
    let mut progress = |step| last = step;
    let watch = Watch { reserve_bytes, progress: &mut progress, cancelled: &|| false };
    let result = fixture.store.fetch(&wanted, &mut source, watch);
    (result, source.asked, last)
}

#[test]
fn what_cannot_fit_is_refused_before_a_layer_is_asked_for() {
    let fixture = Fixture::new();
    let mut image = Image::of([Tar::new().file("a", "small").end(), Tar::new().file("b", "large").end()]);
    image.layers[1].size = 1 << 60;
    for (layers, reserve) in [(2, 4096), (1, 1 << 60)] {
        image.layers.truncate(layers);
        let needed: u64 = image.layers.iter().map(|layer| layer.size).sum();
        let (result, asked, last) = fetch(&fixture, &image, reserve);
        let error = result.unwrap_err();
        assert_eq!(error.kind(), FailureKind::NoSpace);
        let words = error.to_string();
        assert!(words.contains(&format!("{needed} are needed and {reserve} stay")), "{words}");
        assert_eq!((asked, last), (0, Progress::default()));
        assert!(!fixture.store.has(&image.id()).unwrap());
        assert_eq!(std::fs::read_dir(fixture.path("store/tmp")).unwrap().count(), 0);
    }
}

#[test]
fn layers_that_are_there_need_no_room_and_are_not_asked_for() {
    if lacks_root("layers_that_are_there_need_no_room_and_are_not_asked_for") {
        return;
    }
    let fixture = Fixture::new();
    let (lower, upper) = (Tar::new().file("a", "1").end(), Tar::new().file("b", "2").end());
    let (result, asked, _) = fetch(&fixture, &Image::of([lower.clone()]), 0);
    assert_eq!((result.unwrap().size, asked), (1, 1));
    let mut image = Image::of([lower, upper]);
    // Nobody reads it again, so nobody finds out how long it is.
    image.layers[0].size = 1 << 60;
    let (result, asked, last) = fetch(&fixture, &image, 0);
    assert_eq!((result.unwrap().size, asked), (2, 1));
    assert_eq!((last.bytes_done, last.bytes_total), (image.layers[1].size, (1 << 60) + image.layers[1].size));
}
