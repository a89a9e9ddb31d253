//! Runs pieces of work in the order of what they depend on, independent ones side by side.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
/// How a piece of work went.
#[derive(Debug)]
pub(crate) enum Finished<T, E> {
    /// It succeeded.
    Done(T),
    /// It failed.
    Failed(E),
    /// It did not begin, because what it depends on failed or the run stops.
    NotStarted,
}

/// Runs `work` for every key, each after the one it depends on, at most `limit` at once and in the keys' order.
///
/// `bases` maps each piece of work to the one it depends on, if that is part of the work too. A failure keeps what
/// depends on it from starting; `may_start` can keep all that have not started.
pub(crate) async fn in_order<K, T, E, W>(
    bases: &BTreeMap<K, Option<K>>,
    limit: usize,
    may_start: impl Fn() -> bool,
    mut work: impl FnMut(K, Option<&T>) -> W,
) -> BTreeMap<K, Finished<T, E>>
where
    K: Ord + Clone,
    W: Future<Output = Result<T, E>>,
{
    let mut finished: BTreeMap<K, Finished<T, E>> = BTreeMap::new();
    let mut waiting: BTreeSet<K> = bases.keys().cloned().collect();
    let mut running = FuturesUnordered::new();
    loop {
        let before = finished.len();
        for key in waiting.clone() {
            let base = bases.get(&key).and_then(Option::as_ref).map(|base| finished.get(base));
            let value = match base {
                None => None,
                Some(Some(Finished::Done(value))) => Some(value),
                Some(None) => continue,
                Some(Some(_)) => {
                    waiting.remove(&key);
                    finished.insert(key, Finished::NotStarted);
                    continue;
                }
            };
            if running.len() >= limit {
                break;
            }
            waiting.remove(&key);
            if may_start() {
                let future = work(key.clone(), value);
                running.push(async move { (key, future.await) });
            } else {
                finished.insert(key, Finished::NotStarted);
            }
        }
        match running.next().await {
            Some((key, Ok(value))) => finished.insert(key, Finished::Done(value)),
            Some((key, Err(error))) => finished.insert(key, Finished::Failed(error)),
            // Decided without work, so what waits for them is decided by another pass.
            None if finished.len() > before => continue,
            // Nothing runs and nothing was decided: all is finished, or waits for what is not part of the work.
            None => {
                finished.extend(waiting.into_iter().map(|key| (key, Finished::NotStarted)));
                return finished;
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use takelage_model::ImageName;

    use super::*;

    fn name(text: &str) -> ImageName {
        text.parse().unwrap()
    }

    fn chain(pairs: &[(&str, Option<&str>)]) -> BTreeMap<ImageName, Option<ImageName>> {
        pairs.iter().map(|(image, base)| (name(image), base.map(name))).collect()
    }

    #[tokio::test]
    async fn each_image_gets_the_result_of_its_base() {
        let bases = chain(&[("a", Some("m")), ("m", Some("z")), ("z", None)]);
        let finished: BTreeMap<_, Finished<String, ()>> = in_order(
            &bases,
            4,
            || true,
            |image, base| {
                let made = format!("{}{image}", base.cloned().unwrap_or_default());
                async move { Ok(made) }
            },
        )
        .await;
        assert!(matches!(&finished[&name("a")], Finished::Done(made) if made == "zma"));
    }

    #[tokio::test]
    async fn a_failure_stops_what_is_based_on_it_and_nothing_else() {
        let bases = chain(&[("a", None), ("b", Some("a")), ("c", Some("b")), ("d", None)]);
        let finished = in_order(
            &bases,
            1,
            || true,
            |image, _| async move { if image.as_str() == "a" { Err(()) } else { Ok(()) } },
        )
        .await;
        assert!(matches!(finished[&name("c")], Finished::NotStarted));
        assert!(matches!(finished[&name("d")], Finished::Done(())));
    }

    #[tokio::test]
    async fn independent_images_run_side_by_side_up_to_the_limit() {
        let bases = chain(&[("a", None), ("b", None), ("c", None)]);
        let now = RefCell::new((0, 0));
        let _: BTreeMap<_, Finished<(), ()>> = in_order(
            &bases,
            2,
            || true,
            |_, _| async {
                {
                    let mut count = now.borrow_mut();
                    count.0 += 1;
                    count.1 = count.1.max(count.0);
                }
                tokio::task::yield_now().await;
                now.borrow_mut().0 -= 1;
                Ok(())
            },
        )
        .await;
        assert_eq!(now.borrow().1, 2);
    }
}
