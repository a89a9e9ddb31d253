//! Which packages an image needs: the essential ones, the required ones, `apt`, what was asked for, and what all
//! these depend on. Recommendations are not followed.
//!
//! The result is that of `mmdebstrap --variant=minbase`, which leaves the choice to apt: of alternatives the first that
//! can be had unless another one is there already, of several providers the one with the highest priority. One
//! thing is different on purpose: where a merged `/usr` is a package's business (Debian 12), the empty package
//! `usr-is-merged` is taken rather than `usrmerge`, which would bring Perl to convert what is laid out merged anyway.

use std::collections::{HashSet, VecDeque};

use crate::{
    BootstrapError,
    index::{Candidate, Index, Priority},
    relation::{Group, Relation},
    selection::Stage,
};

/// Installed wherever the suite has it and something depends on it or on `usrmerge`.
const MERGED: (&str, &str) = ("usrmerge", "usr-is-merged");

/// One package of the result.
#[derive(Debug, Clone)]
pub(crate) struct Chosen<'i, 'a> {
    pub(crate) candidate: &'i Candidate<'a>,
    pub(crate) stage: Stage,
    /// Only there because another package needs it.
    pub(crate) automatic: bool,
    excludes: Vec<Relation>,
}

/// Finds the packages, in the order in which they were found to be necessary.
pub(crate) fn closure<'i, 'a>(
    index: &'i Index<'a>,
    suite: &str,
    include: &[String],
) -> Result<Vec<Chosen<'i, 'a>>, BootstrapError> {
    let mut resolver = Resolver { index, chosen: Vec::new(), names: HashSet::new(), queue: VecDeque::new() };

    let mut essential: Vec<_> = index.iter().filter(|candidate| candidate.essential).collect();
    essential.sort_by_key(|candidate| candidate.name);
    resolver.add_all(essential, Stage::Essential)?;

    let mut wanted = Vec::new();
    for name in include {
        wanted.push(find(index, suite, name)?);
    }
    let mut required: Vec<_> = index
        .iter()
        .filter(|candidate| candidate.priority == Priority::Required || candidate.name == "apt")
        .collect();
    required.sort_by_key(|candidate| candidate.name);
    wanted.extend(required);
    resolver.add_all(wanted, Stage::Rest)?;

    check_conflicts(&resolver.chosen)?;
    Ok(resolver.chosen)
}

struct Resolver<'i, 'a> {
    index: &'i Index<'a>,
    chosen: Vec<Chosen<'i, 'a>>,
    names: HashSet<&'a str>,
    queue: VecDeque<&'i Candidate<'a>>,
}

impl<'i, 'a> Resolver<'i, 'a> {
    /// Chooses all of `wanted` first, so that they take precedence among alternatives, and then what they need.
    fn add_all(&mut self, wanted: Vec<&'i Candidate<'a>>, stage: Stage) -> Result<(), BootstrapError> {
        for candidate in wanted {
            self.choose(candidate, stage, false)?;
        }
        while let Some(candidate) = self.queue.pop_front() {
            for group in candidate.needs()? {
                self.fulfil(candidate, &group, stage)?;
            }
        }
        Ok(())
    }

    fn choose(
        &mut self,
        candidate: &'i Candidate<'a>,
        stage: Stage,
        automatic: bool,
    ) -> Result<(), BootstrapError> {
        if self.names.insert(candidate.name) {
            self.chosen.push(Chosen { candidate, stage, automatic, excludes: candidate.excludes()? });
            self.queue.push_back(candidate);
        } else if !automatic
            && let Some(known) = self.chosen.iter_mut().find(|c| c.candidate.name == candidate.name)
        {
            known.automatic = false;
        }
        Ok(())
    }

    fn fulfil(&mut self, package: &Candidate<'_>, group: &Group, stage: Stage) -> Result<(), BootstrapError> {
        for relation in &group.0 {
            if self.is_fulfilled(relation)? {
                return Ok(());
            }
        }
        let mut alternatives: Vec<&Relation> = group.0.iter().collect();
        if group.0.iter().any(|relation| relation.name == MERGED.0) {
            alternatives.sort_by_key(|relation| relation.name != MERGED.1);
        }
        for relation in alternatives {
            for candidate in
                self.index.get(&relation.name).into_iter().chain(self.index.providers(&relation.name))
            {
                if candidate.fulfils(relation)? && !self.is_excluded(candidate)? {
                    // What essential packages need is marked by nobody as automatic: dpkg alone installs it.
                    return self.choose(candidate, stage, stage == Stage::Rest);
                }
            }
        }
        Err(BootstrapError::Unsatisfiable { package: package.name.into(), relation: group.to_string() })
    }

    fn is_fulfilled(&self, relation: &Relation) -> Result<bool, BootstrapError> {
        if let Some(candidate) = self.index.get(&relation.name)
            && self.names.contains(candidate.name)
            && candidate.fulfils(relation)?
        {
            return Ok(true);
        }
        for provider in self.index.providers(&relation.name) {
            if self.names.contains(provider.name) && provider.fulfils(relation)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether something chosen and `candidate` exclude each other.
    fn is_excluded(&self, candidate: &Candidate<'_>) -> Result<bool, BootstrapError> {
        let excludes = candidate.excludes()?;
        for chosen in &self.chosen {
            if excluding(candidate, &excludes, chosen.candidate)?.is_some()
                || excluding(chosen.candidate, &chosen.excludes, candidate)?.is_some()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Returns the one of a package's `excludes` that `other` falls under. None excludes itself, whatever it provides.
fn excluding<'r>(
    package: &Candidate<'_>,
    excludes: &'r [Relation],
    other: &Candidate<'_>,
) -> Result<Option<&'r Relation>, BootstrapError> {
    if package.name == other.name {
        return Ok(None);
    }
    for relation in excludes {
        if other.fulfils(relation)? {
            return Ok(Some(relation));
        }
    }
    Ok(None)
}

fn check_conflicts(chosen: &[Chosen<'_, '_>]) -> Result<(), BootstrapError> {
    for package in chosen {
        for other in chosen {
            if let Some(relation) = excluding(package.candidate, &package.excludes, other.candidate)? {
                return Err(BootstrapError::Conflict {
                    package: package.candidate.name.into(),
                    other: other.candidate.name.into(),
                    relation: relation.to_string(),
                });
            }
        }
    }
    Ok(())
}

/// Finds a package that was asked for by name: a real one, or the only one that provides the name.
pub(crate) fn find<'i, 'a>(
    index: &'i Index<'a>,
    suite: &str,
    name: &str,
) -> Result<&'i Candidate<'a>, BootstrapError> {
    if let Some(candidate) = index.get(name) {
        return Ok(candidate);
    }
    let providers = index.providers(name);
    if let [only] = providers.as_slice() {
        return Ok(only);
    }
    let nearest = if let Some(provider) = providers.first() {
        Some(provider.name)
    } else {
        index
            .iter()
            .map(|candidate| (strsim::osa_distance(name, candidate.name), candidate.name))
            .min()
            .filter(|(distance, _)| *distance <= name.len().div_ceil(3))
            .map(|(_, nearest)| nearest)
    };
    Err(BootstrapError::UnknownPackage {
        suite: suite.into(),
        name: name.into(),
        nearest: nearest.map(Into::into),
    })
}
