//! Runs a playbook on a container.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use indexmap::IndexMap;
use takelage_config::{Image, Layer, Prepare};
use takelage_engine::Engine;
use takelage_model::event::{Op, Outcome, Step, Totals};
use takelage_python::{
    Bridge, Host,
    ansible::{self, Converged, Inventory, Playbook},
};

use tokio_util::sync::CancellationToken;

use super::Target;
use crate::{Session, StepError, memory::Chain};

/// How a playbook is run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ConvergeOptions {
    /// Only say what would change.
    pub check: bool,
    /// Show how files change.
    pub diff: bool,
}

impl<E: Engine> Session<E> {
    /// Runs the playbook of `layer` on `target`.
    pub(crate) async fn converge(
        &self,
        image: &Image,
        layer: &Layer,
        target: &Target<E>,
        options: ConvergeOptions,
    ) -> Result<(), StepError> {
        self.step(&image.name, Op::Converge, layer.name.as_deref(), async |step| {
            let Target::Remembered(chain) = target else {
                let converged = self.playbook(image, layer, target, &step, options).await?;
                return Ok((Outcome::Done { summary: summary(&converged.totals) }, ()));
            };
            let result = self.remembered(image, layer, chain, &step, options).await;
            let (all, reused) = chain.finish().await;
            let summary = summary(&result?.totals);
            let outcome = match reused {
                0 => Outcome::Done { summary },
                _ if reused == all && chain.container().await.is_none() => {
                    Outcome::Cached { reason: format!("{summary}, all from memory") }
                }
                _ => Outcome::Done { summary: format!("{summary}, {reused} from memory") },
            };
            Ok((outcome, ()))
        })
        .await
    }

    /// Runs the playbook with as much as possible from memory. If that turns out to be void on the way, nothing is.
    async fn remembered(
        &self,
        image: &Image,
        layer: &Layer,
        chain: &Arc<Chain<E>>,
        step: &Step,
        options: ConvergeOptions,
    ) -> Result<Converged, StepError> {
        let target = Target::Remembered(Arc::clone(chain));
        let (diverged, cancel) = (chain.diverged().await, self.cancel.token().child_token());
        let end = async {
            diverged.cancelled().await;
            cancel.cancel();
            std::future::pending().await
        };
        let result = tokio::select! {
            result = self.run_playbook(image, layer, &target, step, options, cancel.clone()) => result,
            never = end => never,
        };
        if !diverged.is_cancelled() || self.cancel.is_interrupted() {
            return result;
        }
        self.begin_anew(image, chain).await?;
        if image.prepare != Prepare::None {
            self.prepare_remembered(chain, &mut |_| {}).await?;
        }
        self.playbook(image, layer, &target, step, options).await
    }

    /// Checks the syntax of the playbook of `layer`; no container is needed.
    pub(crate) async fn syntax(&self, image: &Image, layer: &Layer) -> Result<(), StepError> {
        self.step(&image.name, Op::Syntax, layer.name.as_deref(), async |step| {
            let tools = self.toolchain().await?;
            let bridge: Bridge<E::Container> = self.bridge(HashMap::new(), &step).await?;
            let playbook = Playbook {
                syntax_only: true,
                ..self.describe(image, layer, ConvergeOptions::default()).await?
            };
            let result = ansible::run(tools, &playbook, &bridge, self.cancel.token()).await;
            bridge.close().await;
            result?;
            Ok((Outcome::Done { summary: String::new() }, ()))
        })
        .await
    }

    /// Runs the playbook and returns what it did.
    pub(super) async fn playbook(
        &self,
        image: &Image,
        layer: &Layer,
        target: &Target<E>,
        step: &Step,
        options: ConvergeOptions,
    ) -> Result<Converged, StepError> {
        self.run_playbook(image, layer, target, step, options, self.cancel.token()).await
    }

    async fn run_playbook(
        &self,
        image: &Image,
        layer: &Layer,
        target: &Target<E>,
        step: &Step,
        options: ConvergeOptions,
        cancel: CancellationToken,
    ) -> Result<Converged, StepError> {
        let tools = self.toolchain().await?;
        let bridge = self.bridge(HashMap::from([(image.name.to_string(), target.host())]), step).await?;
        let playbook = self.describe(image, layer, options).await?;
        let result = ansible::run(tools, &playbook, &bridge, cancel).await;
        bridge.close().await;
        Ok(result?)
    }

    /// Where sockets go: their paths are short, so a long store needs another place.
    fn socket_directory(&self) -> &std::path::Path {
        const ROOM: usize = 80;
        let scratch = self.directory.scratch();
        if scratch.as_os_str().len() <= ROOM { scratch } else { &self.options.temporary }
    }

    /// Opens the socket of one step.
    pub(crate) async fn bridge(
        &self,
        hosts: HashMap<String, Host<E::Container>>,
        step: &Step,
    ) -> Result<Bridge<E::Container>, StepError> {
        let root = &self.project.root;
        let bridge =
            Bridge::open(self.socket_directory(), hosts, self.events.facts(), step.clone(), root).await?;
        Ok(if self.options.plain { bridge } else { bridge.accelerated(self.store.directory("payloads-v1")?) })
    }

    /// Returns where Ansible finds the roles and the collections of `image`, before those the user has configured.
    pub(super) async fn search_paths(&self, image: &Image) -> Result<[Vec<PathBuf>; 2], StepError> {
        let required = self.required().await?;
        let roles = image.roles_path.iter().chain(required.map(|required| &required.roles)).cloned();
        Ok([roles.collect(), required.into_iter().map(|required| required.collections.clone()).collect()])
    }

    /// Translates what the project file says into what Ansible is asked.
    async fn describe(
        &self,
        image: &Image,
        layer: &Layer,
        options: ConvergeOptions,
    ) -> Result<Playbook, StepError> {
        let [roles_path, collections_path] = self.search_paths(image).await?;
        let settings = &self.project.ansible;
        let mut extra_args = settings.args.clone();
        for (flag, values) in [("--tags", &settings.tags), ("--skip-tags", &settings.skip_tags)] {
            if !values.is_empty() {
                extra_args.extend([flag.to_owned(), values.join(",")]);
            }
        }
        if let Some(file) = &settings.vault_password_file {
            extra_args.extend(["--vault-password-file".to_owned(), file.display().to_string()]);
        }
        Ok(Playbook {
            path: layer.playbook.clone(),
            project_root: self.project.root.clone(),
            inventory: inventory(image),
            extra_vars: image.extra_vars.clone().into_iter().collect(),
            config: settings.config.clone(),
            roles_path,
            collections_path,
            check: options.check,
            diff: options.diff || self.options.diff,
            verbosity: self.options.verbosity,
            syntax_only: false,
            extra_args,
            env: self.environment.clone().into_iter().collect(),
            interactive: false,
        })
    }
}

/// Returns Ansible's view of an image's container: one host that goes by the image's name.
pub(super) fn inventory(image: &Image) -> Inventory {
    let variables = |map: &serde_json::Map<String, serde_json::Value>| -> IndexMap<_, _> {
        map.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    let mut inventory = Inventory::of(image.name.as_str(), image.inventory.groups.iter().cloned());
    for (host, vars) in &image.inventory.host_vars {
        // Variables of other hosts are for the inventory's links; only our own host exists here.
        if let Some(known) = inventory.hosts.get_mut(host) {
            known.extend(variables(vars));
        }
    }
    for (group, vars) in &image.inventory.group_vars {
        inventory.groups.entry(group.clone()).or_default().vars.extend(variables(vars));
    }
    inventory.links.clone_from(&image.inventory.links);
    inventory
}

/// Says what a playbook did in a few words.
pub(crate) fn summary(totals: &Totals) -> String {
    let done = totals.ok + totals.skipped + totals.rescued + totals.ignored;
    let tasks = if done == 1 { "task" } else { "tasks" };
    format!("{done} {tasks}, {} changed", totals.changed)
}
