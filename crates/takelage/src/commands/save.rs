//! `save`: produced images into a file, or to whoever reads.

use std::{
    io::{IsTerminal as _, Write},
    os::unix::fs::FileTypeExt as _,
    path::Path,
};

use takelage_engine::ArchiveFormat;
use takelage_model::Exit;
use takelage_run::Destination;

use super::{known, one, run};
use crate::{
    cli::{FormatOption, ImageArgument, SaveArguments},
    failure::Failure,
    settings::Settings,
};

/// Writes images into one archive.
pub(crate) fn save(settings: &Settings, arguments: &SaveArguments) -> Result<Exit, Failure> {
    let project = settings.project()?;
    let images = match arguments.names.as_slice() {
        [] => vec![one(&project, &ImageArgument { name: None })?],
        names => {
            for name in names {
                known(&project, name)?;
            }
            project.images.keys().filter(|name| names.contains(name)).cloned().collect()
        }
    };
    let format = match arguments.format {
        FormatOption::DockerArchive => ArchiveFormat::Docker,
        FormatOption::OciArchive => ArchiveFormat::Oci,
    };
    let to = destination(&arguments.output)?;
    let work = run::Work { command: "save", project, images, choices: run::Choices::default() };
    run::run(settings, work, async |session, images| session.save(images, format, to).await)
}

/// What the argument of `--output` means: what takes bytes and keeps none is written to, anything else is a file.
fn destination(output: &Path) -> Result<Destination, Failure> {
    let stream: Box<dyn Write + Send>;
    let name;
    if output == Path::new("-") {
        if std::io::stdout().is_terminal() {
            return Err(Failure::TerminalOutput);
        }
        (stream, name) = (Box::new(std::io::stdout()), "standard output".to_owned());
    } else if takes_bytes(output) {
        let failed = |source| Failure::Output { path: output.to_owned(), source };
        let file = fs_err::OpenOptions::new().write(true).open(output).map_err(failed)?.into_file();
        if file.is_terminal() {
            return Err(Failure::TerminalOutput);
        }
        (stream, name) = (Box::new(file), format!("`{}`", output.display()));
    } else {
        return Ok(Destination::File(output.to_owned()));
    }
    Ok(Destination::Stream { stream, name })
}

/// Whether there is a pipe or a device.
fn takes_bytes(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| {
        let kind = found.file_type();
        kind.is_fifo() || kind.is_char_device()
    })
}
