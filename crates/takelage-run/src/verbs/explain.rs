//! `explain`: what the last run of an image reused, and why not more.

use takelage_config::{Image, Project};

use crate::{Store, StoreError, memory::Explanation, memory::Journal, session::identity};

/// What is known of one layer of an image.
#[derive(Debug)]
pub struct Explained {
    /// The layer's name, if it has one. `None` where layers have names: it is about the container of `develop`.
    pub layer: Option<String>,
    /// What its last run reused. None: nothing is remembered of any.
    pub last: Option<Explanation>,
}

/// Says for each layer of `image` what was reused when it was made last; where there are several, also for the container of
/// `develop`, which has them all.
pub fn explain(project: &Project, store: &Store, image: &Image) -> Result<Vec<Explained>, StoreError> {
    let (records, project) = (store.records()?, identity(project));
    let explained = |layer: Option<&String>| {
        let path = records.journal_path(&project, &image.name, layer.map(String::as_str));
        let journal = Journal::read(&path);
        Explained { layer: layer.cloned(), last: journal.map(Journal::explanation) }
    };
    let layers = image.layers.iter().map(|layer| explained(layer.name.as_ref()));
    let developed = (image.layers.len() > 1).then(|| explained(None)).filter(|all| all.last.is_some());
    Ok(layers.chain(developed).collect())
}
