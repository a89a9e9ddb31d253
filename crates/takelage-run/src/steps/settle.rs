//! The container that `develop` keeps: as provisioning from scratch would leave it, whatever of that was done now.

use std::sync::Arc;

use takelage_config::Image;
use takelage_engine::{Container, Engine, ExecSpec};
use takelage_model::event::{Op, Outcome};
use takelage_python::{make_again, memory::Memory};

use crate::{Session, StepError, memory::Chain, store::Developed};

/// Prints when the host and the first process of the container were started.
const START: &str =
    "read -r host < /proc/sys/kernel/random/boot_id && read -r one < /proc/1/stat && echo \"$host $one\"";

impl<E: Engine> Session<E> {
    /// Returns the container of a chain that is at its end: the one that something ran in, the kept one if an earlier run left
    /// it in this state, or a new one.
    ///
    /// `None`: what is remembered cannot be repeated. Then nothing of it counts any more, and all has to run anew.
    pub(crate) async fn settled(
        &self,
        image: &Image,
        chain: &Arc<Chain<E>>,
    ) -> Result<Option<E::Container>, StepError> {
        if let Some(container) = chain.container().await {
            return Ok(Some(container));
        }
        self.step(&image.name, Op::Create, None, async |_| {
            if let Some(container) = self.unchanged(image, chain).await? {
                let reason = format!("{} is as `develop` left it", container.name());
                return Ok((Outcome::Cached { reason }, Some(container)));
            }
            let live = self.interruptible(chain.materialised()).await?;
            let again = async { Ok::<_, StepError>(make_again(&**chain as &dyn Memory<_>, live).await) };
            let Ok(container) = self.interruptible(again).await? else {
                self.begin_anew(image, chain).await?;
                let summary = "of no use, because it is another each time".to_owned();
                return Ok((Outcome::Done { summary }, None));
            };
            Ok((Outcome::Done { summary: container.name().to_owned() }, Some(container)))
        })
        .await
    }

    /// Remembers in which state `develop` leaves a container.
    pub(crate) async fn remember_settled(
        &self,
        image: &Image,
        chain: &Chain<E>,
        container: &E::Container,
    ) -> Result<(), StepError> {
        let Some(kept) = self.kept(&image.name).await? else { return Ok(()) };
        if let (Some(state), Some(start)) = (chain.state().await, self.start_of(container).await?) {
            let developed = Developed { container: kept.id.0, start, state };
            self.store.remember_developed(&self.id, &image.name, &developed)?;
        }
        Ok(())
    }

    /// Returns the kept container, if it is in the state that `chain` has come to, and nothing else has worked on it.
    async fn unchanged(&self, image: &Image, chain: &Chain<E>) -> Result<Option<E::Container>, StepError> {
        let Some(developed) = self.store.developed(&self.id, &image.name)? else { return Ok(None) };
        let kept = self.kept(&image.name).await?;
        let Some(kept) = kept.filter(|kept| kept.running && kept.id.0 == developed.container) else {
            return Ok(None);
        };
        let container = self.engine.container(&kept);
        let is_as_left = chain.state().await == Some(developed.state)
            && self.start_of(&container).await? == Some(developed.start);
        Ok(is_as_left.then_some(container))
    }

    /// Returns what is another once a container has been started again: then no process of it lives any more.
    async fn start_of(&self, container: &E::Container) -> Result<Option<String>, StepError> {
        let spec = ExecSpec::root(["/bin/sh", "-c", START]);
        let output = self.interruptible(container.run(spec)).await?;
        Ok(start(&String::from_utf8_lossy(&output.stdout)).filter(|_| output.success()))
    }
}

/// Reads the host's boot and the time at which a process began, in clock ticks since then.
fn start(text: &str) -> Option<String> {
    let host = text.split_whitespace().next()?;
    // What is before that is the process's number and name, which may have any character.
    let ticks = text.rsplit_once(')')?.1.split_whitespace().nth(19)?;
    Some(format!("{host} {ticks}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_read_behind_any_name() {
        let stat = "1 (a) b (c)) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 777 1000 2 3";
        assert_eq!(start(&format!("boot {stat}\n")).as_deref(), Some("boot 777"));
        assert_eq!(start("boot 1 (sh) S 0"), None);
        assert_eq!(start(""), None);
    }
}
