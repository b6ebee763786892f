//! `scomoctl package`: making packages. Asks nothing of a device.
//!
//! These functions block and have an event loop of their own below them: they must not run inside ours.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use scomo_package::builder::{
    BuildOptions, Inspection, KeyKind, SignOptions, SignatureReport, build, inspect, keygen, parse_recipe,
    push, sign,
};
use scomo_package::{Config, KeyConfig, PackageError, RegistryConfig};

use crate::args::package::{Access, KeyType, PackageCommand};
use crate::exit::{self, Code, Failure, OK};
use crate::output::{self, Format};
use crate::source::absolute;

/// Carries out a command.
pub fn run(format: Format, access: &Access, command: PackageCommand) -> Result<Code, Failure> {
    let mut config = config_of(access);
    let here = std::env::current_dir()?;
    match command {
        PackageCommand::Build { recipe, output, key, zstd, epoch } => {
            let text = read(&recipe)?;
            let parsed = parse_recipe(&text).map_err(failed)?;
            let base = here.join(recipe.parent().unwrap_or(Path::new("")));
            let options = BuildOptions { base, output: output.clone(), zstd, epoch_s: epoch };
            let built = build(&config, &parsed, &options).map_err(failed)?;
            if let Some(key) = key {
                let is_archive = output.extension().is_some_and(|e| e == "scomo");
                let shown = here.join(&output);
                let scheme = if is_archive { "file" } else { "oci" };
                let source = format!("{scheme}:{}", shown.display());
                sign(&config, &source, &key, &SignOptions::default()).map_err(failed)?;
            }
            let text = format!("{} {} ({})", built.digest, built.output.display(), output::size(built.size));
            report(format, "package-built", &built, &text)
        }
        PackageCommand::Sign { source, key, reference } => {
            let source = absolute(&source, &here)?;
            let signed = sign(&config, &source, &key, &SignOptions { reference }).map_err(failed)?;
            let text = format!(
                "{} signed as {}; it has {} signature(s)",
                signed.digest, signed.tag, signed.signatures
            );
            report(format, "package-signed", &signed, &text)
        }
        PackageCommand::Inspect { source, key } => {
            for file in key {
                let name = file.file_stem().unwrap_or(file.as_os_str()).to_string_lossy().into_owned();
                config.keys.insert(name, KeyConfig { file: Some(here.join(&file)), pem: None });
            }
            let source = absolute(&source, &here)?;
            let found = inspect(&config, &source).map_err(failed)?;
            let text = inspection_text(&found);
            report(format, "package", &Inspected { package: found }, &text)
        }
        PackageCommand::Push { source, target } => {
            let source = absolute(&source, &here)?;
            let pushed = push(&config, &source, &target).map_err(failed)?;
            let mut text = format!("{} ({} sent, {} were there)", pushed.pinned, pushed.sent, pushed.reused);
            if !pushed.signed {
                text.push_str(
                    "\nThe package is not signed: devices refuse it unless they are told otherwise.",
                );
            }
            report(format, "package-pushed", &pushed, &text)
        }
        PackageCommand::Keygen { file, r#type } => make_keys(format, &file, r#type),
    }
}

fn config_of(access: &Access) -> Config {
    let plain = |host: &String| {
        (host.to_lowercase(), RegistryConfig { plain_http: true, ..RegistryConfig::default() })
    };
    Config {
        registries: access.plain_http.iter().map(plain).collect(),
        auth_file: access.auth_file.clone(),
        ..Config::default()
    }
}

fn report<T: serde::Serialize>(format: Format, kind: &str, body: &T, text: &str) -> Result<Code, Failure> {
    match format {
        Format::Json => output::json(kind, body)?,
        Format::Text => output::foreign(text)?,
    }
    Ok(OK)
}

fn make_keys(format: Format, file: &Path, kind: KeyType) -> Result<Code, Failure> {
    let pair = keygen(match kind {
        KeyType::P256 => KeyKind::P256,
        KeyType::Ed25519 => KeyKind::Ed25519,
    });
    let pair = pair.map_err(failed)?;
    let public = file.with_added_extension("pub");
    write_new(file, 0o600, &pair.private_pem)?;
    write_new(&public, 0o644, &pair.public_pem)?;
    let text = format!(
        "private key: {}; keep it off every device\n public key: {}; devices need it in their configuration",
        file.display(),
        public.display()
    );
    let body = Keys { private: file.display().to_string(), public: public.display().to_string() };
    report(format, "keys", &body, &text)
}

/// The files of a new key pair.
#[derive(Debug, serde::Serialize)]
struct Keys {
    private: String,
    public: String,
}

/// An inspection, whose own `kind` must not meet that of the envelope.
#[derive(Debug, serde::Serialize)]
struct Inspected {
    package: Inspection,
}

fn write_new(path: &Path, mode: u32, text: &str) -> Result<(), Failure> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    written
        .map_err(|e| Failure::new(exit::FAILED, "Output", format!("cannot make '{}': {e}", path.display())))
}

fn read(path: &Path) -> Result<String, Failure> {
    let failed =
        |e| Failure::new(exit::NOT_FOUND, "NotFound", format!("cannot read '{}': {e}", path.display()));
    std::fs::read_to_string(path).map_err(failed)
}

fn failed(error: PackageError) -> Failure {
    let kind = error.kind().as_str();
    let code = match kind {
        "unavailable" | "server" | "unauthorized" | "corrupt" => exit::DOWNLOAD,
        "not-found" => exit::NOT_FOUND,
        "untrusted" | "invalid" => exit::UNTRUSTED,
        "unsupported" => exit::UNSUPPORTED,
        "no-space" => exit::NO_SPACE,
        _ => exit::FAILED,
    };
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    Failure::new(code, kind, text)
}

fn inspection_text(found: &Inspection) -> String {
    let signature = match &found.signature {
        SignatureReport::Good { identity } => format!("signed by '{identity}'"),
        SignatureReport::None => "not signed".to_owned(),
        SignatureReport::Untrusted { reason } => format!("not trusted: {reason}"),
    };
    let head = output::fields(&[
        (found.kind.as_str(), found.info.id.clone()),
        ("name", found.info.name.clone()),
        ("version", found.info.version.clone()),
        ("description", found.info.description.clone()),
        ("digest", found.digest.to_string()),
        ("signature", signature),
    ]);
    let rows: Vec<Vec<String>> = found
        .components
        .iter()
        .map(|component| {
            let image = component.image.as_ref();
            let size = image.map_or_else(|| "-".to_owned(), |i| output::size(i.size));
            let platform = image.map_or_else(|| "-".to_owned(), |i| i.platform.clone());
            let requires = output::or_dash(&component.requires.join(", "));
            let version = output::or_dash(&component.version);
            vec![component.id.clone(), version, component.kind.clone(), platform, size, requires]
        })
        .collect();
    format!("{head}\n\n{}", output::table(&["ID", "VERSION", "TYPE", "PLATFORM", "SIZE", "REQUIRES"], &rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_built_signed_and_inspected() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("root")).unwrap();
        std::fs::write(at("root/file"), "content").unwrap();
        std::fs::write(
            at("recipe.yaml"),
            "id: demo\nversion: '1'\ncomponents:\n  - id: app\n    rootfs: ./root\n",
        )
        .unwrap();
        let access = Access { plain_http: Vec::new(), auth_file: None };
        let go = |command| run(Format::Json, &access, command);
        go(PackageCommand::Keygen { file: at("key"), r#type: KeyType::Ed25519 }).unwrap();
        let again = go(PackageCommand::Keygen { file: at("key"), r#type: KeyType::P256 }).unwrap_err();
        assert!(again.message.contains("key"), "an existing key is never replaced: {again}");
        let output = at("demo.scomo");
        let recipe = at("recipe.yaml");
        go(PackageCommand::Build {
            recipe,
            output: output.clone(),
            key: Some(at("key")),
            zstd: false,
            epoch: 0,
        })
        .unwrap();
        let mut config = config_of(&access);
        config.keys.insert("k".to_owned(), KeyConfig { file: Some(at("key.pub")), pem: None });
        let found = inspect(&config, &format!("file:{}", output.display())).unwrap();
        assert_eq!(found.signature, SignatureReport::Good { identity: "k".to_owned() });
        let text = inspection_text(&found);
        assert!(text.contains("signed by 'k'") && text.contains("app"), "{text}");
    }

    #[test]
    fn a_missing_source_has_its_exit_code() {
        let access = Access { plain_http: Vec::new(), auth_file: None };
        let command = PackageCommand::Inspect { source: "/nonexistent.scomo".to_owned(), key: Vec::new() };
        let failure = run(Format::Text, &access, command).unwrap_err();
        assert_eq!(failure.code, exit::NOT_FOUND, "{failure}");
    }
}
