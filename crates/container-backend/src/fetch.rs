//! Bringing an image into the store, and its config beside it.

use scomo_core::effect::Progress;
use scomo_core::spec::{Payload, Release};
use scomo_engine::backend::StepCx;
use scomo_package::Config;
use scomo_store::files::{self, Durability};
use scomo_store::{Store, TreeId, Watch};

use crate::error::Error;
use crate::runtime::places::Places;

/// Fetches a release; gives its installed size in bytes.
pub(crate) fn fetch(config: &Config, places: &Places, release: &Release, cx: &StepCx) -> Result<u64, Error> {
    let Payload::Image { digest, .. } = &release.spec.payload else {
        return Err(Error::NotContainer(release.spec.id.clone()));
    };
    files::create_private(places.state())?;
    let store = Store::open(&places.store())?;
    let place = places.release(&release.id);
    if let Some(size) = store.size(&TreeId::from(digest))?
        && place.image_config().exists()
    {
        let all = Progress { bytes_total: size, bytes_reused: size, ..Progress::default() };
        cx.progress(all);
        return Ok(size);
    }
    let mut source = scomo_package::open(config, &release.source)?;
    let image = source.image(digest)?;
    if cx.cancelled() {
        return Err(Error::Cancelled);
    }
    let mut progress = |step| cx.progress(step);
    let reserve_bytes = config.reserve_bytes;
    let watch = Watch { reserve_bytes, progress: &mut progress, cancelled: &|| cx.cancelled() };
    let imported = store.fetch(&image, source.as_mut(), watch)?;
    tracing::info!(?imported, "imported");
    files::create_private(place.folder())?;
    files::write(&place.image_config(), &image.config_json, Durability::Durable)?;
    for folder in [places.releases().as_path(), places.state()] {
        files::sync_folder(folder)?;
    }
    Ok(imported.size)
}
