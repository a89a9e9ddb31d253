//! The order of the images: bases before what is made of them.

use indexmap::IndexMap;
use takelage_model::ImageName;

use super::Assembly;
use crate::{Image, Origin, error::Fault, position::join};

impl Assembly<'_> {
    /// Orders the images, or reports every cycle.
    pub(super) fn ordered(
        &mut self,
        mut images: IndexMap<ImageName, Image>,
    ) -> Option<IndexMap<ImageName, Image>> {
        let order = match order(&images) {
            Ok(order) => order,
            Err(cycles) => {
                for cycle in cycles {
                    let names: Vec<_> = cycle.iter().chain(cycle.first()).map(ImageName::as_str).collect();
                    let message =
                        format!("images are based on one another in a circle: {}", names.join(" → "));
                    let at = cycle.first().map_or_else(String::new, |name| join("/images", name.as_str()));
                    let fault = Fault::new(self.marks.value(&join(&at, "from")), message);
                    self.faults.push(match cycle.as_slice() {
                        [name] => fault.hint(format!(
                            "if a registry's image is meant, say so with its tag: `{name}:latest`"
                        )),
                        _ => fault,
                    });
                }
                return None;
            }
        };
        Some(order.into_iter().filter_map(|name| images.shift_remove_entry(&name)).collect())
    }
}

/// Returns the names, each behind its base and otherwise in the order given, or else the cycles. A cycle
/// begins with the image that the file names first, and leads from an image to its base.
fn order(images: &IndexMap<ImageName, Image>) -> Result<Vec<ImageName>, Vec<Vec<ImageName>>> {
    let mut order: IndexMap<&ImageName, ()> = IndexMap::with_capacity(images.len());
    let mut cycles: Vec<Vec<ImageName>> = Vec::new();
    for name in images.keys() {
        // Every image has one base at most, so the way down is a single path.
        let mut path: IndexMap<&ImageName, ()> = IndexMap::new();
        let mut next = Some(name);
        while let Some(name) = next.filter(|name| !order.contains_key(name) && !path.contains_key(name)) {
            path.insert(name, ());
            next = match images.get(name).map(|image| &image.from) {
                Some(Origin::Image(base)) => Some(base),
                _ => None,
            };
        }
        if let Some(start) = next.and_then(|name| path.get_index_of(name)) {
            let mut cycle: Vec<_> = path.keys().skip(start).map(|name| (*name).clone()).collect();
            let first =
                (0..cycle.len()).min_by_key(|index| images.get_index_of(&cycle[*index])).unwrap_or_default();
            cycle.rotate_left(first);
            if !cycles.contains(&cycle) {
                cycles.push(cycle);
            }
        } else {
            // A base that could not be made is named, but not there.
            order.extend(path.into_iter().rev().filter(|(name, ())| images.contains_key(*name)));
        }
    }
    if cycles.is_empty() { Ok(order.into_keys().cloned().collect()) } else { Err(cycles) }
}
