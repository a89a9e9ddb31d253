//! Rules about devices where there is cgroup v2 only.
//!
//! It has no list to write them to. What decides is a program for the kernel's own machine that is attached to the group.
//! It is run whenever something in the group opens or makes a device, and returns 1 for yes. It is asked three words:
//!
//! ```text
//! 0               4       8       12
//! ┌───────────────┬───────┬───────┐
//! │ rights << 16  │ major │ minor │   which rights are wanted, to which device
//! │   | kind      │       │       │
//! └───────────────┴───────┴───────┘
//! ```
//!
//! The program is a chain of comparisons, one block for each rule, the last rule first: a later rule overrides.

use std::{io, os::fd::AsFd as _, path::Path};

use fs_err as fs;
use libcontainer::oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

use super::bpf::{self, Instruction, Register};

/// What the kernel calls the kinds of devices.
const BLOCK: i32 = 1;
const CHARACTER: i32 = 2;
/// What the kernel calls the rights.
const RIGHTS: [(char, i32); 3] = [('m', 1), ('r', 2), ('w', 4)];

/// What the program has in its registers: what it is asked about, and what it answers.
const ANSWER: Register = Register(0);
const QUESTION: Register = Register(1);
const KIND: Register = Register(2);
const WANTED: Register = Register(3);
const MAJOR: Register = Register(4);
const MINOR: Register = Register(5);
const SCRATCH: Register = Register(6);

/// Holds everything in a container's group to `rules`.
///
/// What is in groups below it, made by a systemd in the container, is held to them as well, and to rules of their own.
pub(in super::super) fn restrict(id: &str, rules: &[LinuxDeviceCgroup]) -> io::Result<()> {
    restrict_group(&super::unified(id), rules)
}

fn restrict_group(group: &Path, rules: &[LinuxDeviceCgroup]) -> io::Result<()> {
    let program = bpf::load(&program(rules)?)?;
    bpf::attach(program.as_fd(), fs::File::open(group)?.as_fd())
}

/// Says `rules` in the kernel's instructions. What none of them is about is denied.
fn program(rules: &[LinuxDeviceCgroup]) -> io::Result<Vec<Instruction>> {
    let mut program = vec![
        Instruction::load(KIND, QUESTION, 0),
        Instruction::copy(WANTED, KIND),
        Instruction::and(KIND, 0xffff),
        Instruction::shift_right(WANTED, 16),
        Instruction::load(MAJOR, QUESTION, 4),
        Instruction::load(MINOR, QUESTION, 8),
    ];
    for rule in rules.iter().rev() {
        program.extend(block(rule)?);
    }
    program.extend([Instruction::set(ANSWER, 0), Instruction::exit()]);
    Ok(program)
}

/// One rule: it answers, or the program goes on behind it.
fn block(rule: &LinuxDeviceCgroup) -> io::Result<Vec<Instruction>> {
    let kind = match rule.typ().unwrap_or_default() {
        LinuxDeviceType::A => None,
        LinuxDeviceType::B => Some(BLOCK),
        LinuxDeviceType::C | LinuxDeviceType::U => Some(CHARACTER),
        LinuxDeviceType::P => return Err(io::Error::other("there are no rules about pipes")),
    };
    let rights = rights(rule.access().as_deref().unwrap_or("rwm"))?;
    let number = |number: Option<i64>| match number {
        // In the specification, a negative number is any.
        Some(number) if number >= 0 => i32::try_from(number).map(Some).map_err(io::Error::other),
        _ => Ok(None),
    };
    let (major, minor) = (number(rule.major())?, number(rule.minor())?);
    let comparisons = [kind.map(|it| (KIND, it)), major.map(|it| (MAJOR, it)), minor.map(|it| (MINOR, it))];
    let comparisons: Vec<_> = comparisons.into_iter().flatten().collect();
    // Where one does not hold, all that follows in this block is skipped: so it is written from behind.
    let mut block = vec![Instruction::exit(), Instruction::set(ANSWER, i32::from(rule.allow()))];
    for (register, value) in comparisons.into_iter().rev() {
        block.push(Instruction::skip_unless_equal(register, value, block.len())?);
    }
    // No right is wanted beyond those of the rule.
    block.push(Instruction::skip_unless_equal(SCRATCH, 0, block.len())?);
    block.push(Instruction::and(SCRATCH, !rights));
    block.push(Instruction::copy(SCRATCH, WANTED));
    block.reverse();
    Ok(block)
}

/// Reads `rwm`, in any order.
fn rights(text: &str) -> io::Result<i32> {
    text.chars().try_fold(0, |rights, letter| {
        let known = RIGHTS.iter().find(|(known, _)| *known == letter);
        let (_, right) = known.ok_or_else(|| {
            io::Error::other(format!("`{letter}` is no right to a device: write `r`, `w` or `m`"))
        })?;
        Ok(rights | right)
    })
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, process::Command};

    use serde_json::json;
    use takelage_testkit::skip;

    use super::*;

    /// A group of cgroup v2 that goes with the test.
    struct Group(PathBuf);

    impl Group {
        fn new(name: &str) -> Option<Self> {
            let root = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
                .map(Path::new)
                .into_iter()
                .find(|root| root.join("cgroup.subtree_control").exists())?;
            let group = root.join(format!("takelage-test-{name}-{}", std::process::id()));
            fs::create_dir(&group).ok()?;
            Some(Self(group))
        }

        /// Whether a shell in the group can do something.
        fn can(&self, script: &str) -> bool {
            let script = format!("echo $$ > '{}/cgroup.procs' && {script}", self.0.display());
            Command::new("sh").args(["-c", &script]).output().unwrap().status.success()
        }
    }

    impl Drop for Group {
        fn drop(&mut self) {
            let _ = fs::remove_dir(&self.0);
        }
    }

    fn rules(rules: serde_json::Value) -> Vec<LinuxDeviceCgroup> {
        serde_json::from_value(rules).unwrap()
    }

    #[test]
    fn root_a_group_is_held_to_its_rules() {
        let Some(group) = Group::new("rules") else { skip!("no group of cgroup v2 can be made") };
        let read = |device: &str| group.can(&format!("head -c 1 {device} > /dev/null"));
        let (zero, random) = ("/dev/zero", "/dev/urandom");
        assert!(read(zero) && read(random));
        let listed = rules(json!([
            {"allow": false, "access": "rwm"},
            {"allow": true, "type": "c", "access": "m"},
            {"allow": true, "type": "c", "major": 1, "access": "rw"},
            {"allow": false, "type": "c", "major": 1, "minor": 9, "access": "rwm"},
            {"allow": true, "type": "c", "major": 5, "minor": 2, "access": "r"},
        ]));
        restrict_group(&group.0, &listed).unwrap();
        assert!(read(zero) && group.can("echo > /dev/null"));
        // The last rule that is about it decides.
        assert!(!read(random));
        // A right that the rule does not give, and a kind that none is about.
        assert!(group.can(": < /dev/ptmx") && !group.can(": > /dev/ptmx"));
        let node = tempfile::tempdir().unwrap();
        let make = |kind: &str, name: &str| {
            let path = node.path().join(name);
            group.can(&format!("mknod {} {kind}", path.display()))
        };
        assert!(make("c 1 5", "character") && !make("b 1 5", "block"));
    }

    #[test]
    fn root_a_group_below_may_have_rules_of_its_own() {
        let Some(group) = Group::new("below") else { skip!("no group of cgroup v2 can be made") };
        let below = Group(group.0.join("below"));
        fs::create_dir(&below.0).unwrap();
        let all = rules(json!([{"allow": true, "access": "rwm"}]));
        let only = |minor| rules(json!([{"allow": true, "type": "c", "major": 1, "minor": minor}]));
        restrict_group(&group.0, &all).unwrap();
        restrict_group(&below.0, &only(5)).unwrap();
        assert!(below.can("head -c 1 /dev/zero") && !below.can(": < /dev/urandom"));
        // It cannot give itself what the one above denies.
        restrict_group(&group.0, &only(9)).unwrap();
        assert!(!below.can(": < /dev/zero") && !below.can(": < /dev/urandom"));
        drop(below);
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for rule in [
            json!([{"allow": true, "access": "rx"}]),
            json!([{"allow": true, "type": "p", "access": "r"}]),
            json!([{"allow": true, "major": 5_000_000_000_i64, "access": "r"}]),
        ] {
            assert!(program(&rules(rule)).is_err());
        }
    }
}
