//! Relations between packages: `Depends: libc6 (>= 2.36), awk | mawk (<< 2)`.
//!
//! The format is that of Debian Policy, chapter 7. Build profiles and architecture lists do not occur in binary packages.

use debversion::Version;

/// Alternatives, of which one must hold.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Group(pub(crate) Vec<Relation>);

/// A package's name with what is asked of its version and architecture.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Relation {
    pub(crate) name: String,
    /// `any`, `native`, or an architecture.
    pub(crate) architecture: Option<String>,
    pub(crate) version: Option<(Comparison, Version)>,
}

/// How a version must compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Earlier,
    EarlierOrEqual,
    Equal,
    LaterOrEqual,
    Later,
}

/// The reason why a text is not a relation.
pub(crate) type Reason = String;

/// Parses the value of `Depends`, `Conflicts`, `Provides` and their like.
pub(crate) fn parse(value: &str) -> Result<Vec<Group>, Reason> {
    value
        .split(',')
        .map(str::trim)
        .filter(|group| !group.is_empty())
        .map(|group| group.split('|').map(Relation::parse).collect::<Result<_, _>>().map(Group))
        .collect()
}

impl Relation {
    fn parse(text: &str) -> Result<Self, Reason> {
        let text = text.trim();
        let (qualified, version) = match text.split_once('(') {
            None => (text, None),
            Some((name, rest)) => {
                let inner = rest
                    .trim_end()
                    .strip_suffix(')')
                    .ok_or_else(|| format!("`{text}` lacks a closing parenthesis"))?;
                (name.trim(), Some(parse_version(inner)?))
            }
        };
        let (name, architecture) = match qualified.split_once(':') {
            None => (qualified, None),
            Some((name, architecture)) => (name, Some(architecture.to_owned())),
        };
        if !is_package_name(name) {
            return Err(format!("`{text}` does not begin with the name of a package"));
        }
        Ok(Self { name: name.to_owned(), architecture, version })
    }

    /// Whether `version` is what is asked for.
    pub(crate) fn admits(&self, version: &Version) -> bool {
        self.version.as_ref().is_none_or(|(comparison, wanted)| {
            let order = version.cmp(wanted);
            match comparison {
                Comparison::Earlier => order.is_lt(),
                Comparison::EarlierOrEqual => order.is_le(),
                Comparison::Equal => order.is_eq(),
                Comparison::LaterOrEqual => order.is_ge(),
                Comparison::Later => order.is_gt(),
            }
        })
    }
}

impl std::fmt::Display for Relation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)?;
        if let Some(architecture) = &self.architecture {
            write!(f, ":{architecture}")?;
        }
        if let Some((comparison, version)) = &self.version {
            let sign = match comparison {
                Comparison::Earlier => "<<",
                Comparison::EarlierOrEqual => "<=",
                Comparison::Equal => "=",
                Comparison::LaterOrEqual => ">=",
                Comparison::Later => ">>",
            };
            write!(f, " ({sign} {version})")?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, relation) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" | ")?;
            }
            relation.fmt(f)?;
        }
        Ok(())
    }
}

fn parse_version(inner: &str) -> Result<(Comparison, Version), Reason> {
    let inner = inner.trim();
    // `<` and `>` mean `<=` and `>=`, an old spelling that dpkg still reads.
    let signs = [
        ("<<", Comparison::Earlier),
        ("<=", Comparison::EarlierOrEqual),
        (">=", Comparison::LaterOrEqual),
        (">>", Comparison::Later),
        ("=", Comparison::Equal),
        ("<", Comparison::EarlierOrEqual),
        (">", Comparison::LaterOrEqual),
    ];
    let (comparison, rest) = signs
        .into_iter()
        .find_map(|(sign, comparison)| Some((comparison, inner.strip_prefix(sign)?)))
        .ok_or_else(|| format!("`{inner}` does not begin with a comparison"))?;
    Ok((comparison, version(rest.trim())?))
}

/// Parses a version. Debian's are short and ASCII; [`debversion`] alone would also take digits of other scripts.
pub(crate) fn version(text: &str) -> Result<Version, Reason> {
    let refuse = || format!("`{text}` is not a version");
    if text.len() > 255 || !text.bytes().all(|b| b.is_ascii_alphanumeric() || b".+-:~_".contains(&b)) {
        return Err(refuse());
    }
    text.parse().map_err(|_| refuse())
}

/// Whether dpkg would take it as a package's name. Names become file names, so nothing else may pass.
pub(crate) fn is_package_name(name: &str) -> bool {
    name.len() >= 2
        && name.len() <= 200
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn versions_alternatives_and_qualifiers_are_read() {
        let groups = parse("libc6 (>= 2.36), python3:any | python3-minimal(<<3~), x11-common").unwrap();
        let texts: Vec<_> = groups.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["libc6 (>= 2.36)", "python3:any | python3-minimal (<< 3~)", "x11-common"]);
        assert!(groups[0].0[0].admits(&"2.36-9".parse().unwrap()));
        assert!(!groups[0].0[0].admits(&"2.36~rc1".parse().unwrap()));
        assert!(!groups[1].0[1].admits(&"3".parse().unwrap()));
    }

    #[test]
    fn names_that_are_no_names_are_refused() {
        for text in ["../x", "Foo", "a", "-a", "a b", "a (", "a (2)", "a (>= )", "a (= 1/2)"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in ".{0,80}") {
            drop(parse(&text));
        }

        #[test]
        fn anything_like_a_relation_round_trips_or_is_refused(text in "[a-z0-9+.:|, ()<>=~-]{0,60}") {
            if let Ok(groups) = parse(&text) {
                let written = groups.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                prop_assert_eq!(parse(&written).unwrap(), groups);
            }
        }

        #[test]
        fn any_two_versions_compare(a in "[0-9a-z.+~:-]{1,20}", b in "[0-9a-z.+~:-]{1,20}") {
            if let (Ok(a), Ok(b)) = (version(&a), version(&b)) {
                prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            }
        }
    }
}
