//! The user's own terminal, lent to a command in a container.

use std::{
    io::{self, IsTerminal as _, Write as _},
    os::fd::AsFd as _,
};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use takelage_engine::{Container, EngineError, ExecSpec, Interaction};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
};

use super::standard_input::standard_input;

/// Whether a command can be given a terminal: both ends of ours must be one.
pub(crate) fn is_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// The terminal passes every key on as it is, until this is dropped.
struct Raw(Termios);

impl Raw {
    fn enter() -> io::Result<Self> {
        let stdin = io::stdin();
        let before = tcgetattr(stdin.as_fd())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin.as_fd(), OptionalActions::Now, &raw)?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        let _ = tcsetattr(io::stdin().as_fd(), OptionalActions::Now, &self.0);
    }
}

/// Runs a command on this terminal; returns its exit status.
pub(crate) async fn interact<C: Container>(
    container: &C,
    spec: ExecSpec,
) -> io::Result<Result<i64, EngineError>> {
    let (output, mut shown) = mpsc::channel::<bytes::Bytes>(16);
    let (resized, size) = watch::channel(current_size());
    let mut window = signal(SignalKind::window_change())?;
    let raw = Raw::enter()?;
    let input = standard_input();
    let show = async {
        while let Some(bytes) = shown.recv().await {
            let mut stdout = io::stdout().lock();
            if stdout.write_all(&bytes).and_then(|()| stdout.flush()).is_err() {
                break;
            }
        }
    };
    let resize = async {
        while window.recv().await.is_some() {
            resized.send_replace(current_size());
        }
    };
    let run = container.interact(spec, Interaction { input, output, size });
    let result = tokio::select! {
        (result, ()) = async { tokio::join!(run, show) } => result,
        () = resize => Ok(0),
    };
    drop(raw);
    Ok(result)
}

fn current_size() -> (u16, u16) {
    tcgetwinsize(io::stdout().as_fd()).map_or((80, 24), |size| (size.ws_col, size.ws_row))
}
