//! The filter of system calls as a program for the kernel.
//!
//! `seccompiler` compiles the rules of one architecture. Around that lies what it cannot say: a filter for programs
//! of 32 bits, which it would kill, and a second error for calls that do not exist here.
//!
//! ```text
//!     load the architecture
//!     if it is the native one:                      if it is the one of 32 bits (x86_64 only):
//!         load the call's number                        the same with its numbers
//!         above the last:          ENOSYS
//!         clone3:                  ENOSYS
//!         in a gap:                EPERM
//!         refused, or refused with
//!           these arguments:       EPERM            any other architecture: ENOSYS
//!         else:                    allowed
//! ```
//!
//! Programs of 32 bits: on `x86_64` those for i386 run under a table of their own. Calls of x32 have a bit
//! above all numbers, so they do not exist, as on most kernels. On `aarch64` and `riscv64` no 32-bit call exists; Docker
//! has a table for ARM there, but most of today's processors cannot run such a program anyway.

use std::collections::BTreeMap;

use rustix::thread::CapabilitySet;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};

use super::calls::{self, Table};

/// The architecture that this program is for: its name to the kernel, and its table.
#[cfg(target_arch = "x86_64")]
const NATIVE: (TargetArch, u32, Table) = (TargetArch::x86_64, 0xc000_003e, Table::X86_64);
#[cfg(target_arch = "aarch64")]
const NATIVE: (TargetArch, u32, Table) = (TargetArch::aarch64, 0xc000_00b7, Table::Generic);
#[cfg(target_arch = "riscv64")]
const NATIVE: (TargetArch, u32, Table) = (TargetArch::riscv64, 0xc000_00f3, Table::Generic);
/// The architecture of programs of 32 bits.
#[cfg(target_arch = "x86_64")]
const COMPATIBLE: Option<(u32, Table)> = Some((0x4000_0003, Table::I386));
#[cfg(not(target_arch = "x86_64"))]
const COMPATIBLE: Option<(u32, Table)> = None;

/// Where the kernel puts number and architecture of a call.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

/// The instructions, by the kernel's `bpf_common.h`: they work on words, and compare with a constant.
const LOAD: u16 = 0x20;
const RETURN: u16 = 0x06;
const JUMP: u16 = 0x05;
const IF_EQUAL: u16 = 0x15;
const IF_ABOVE: u16 = 0x25;
const IF_AT_LEAST: u16 = 0x35;

/// So many numbers are asked for one after the other.
const NEIGHBOURS: usize = 6;

const NOT_PERMITTED: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
const NO_SUCH_CALL: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;

/// Compiles the filter for whoever has these capabilities.
pub(super) fn program(capabilities: CapabilitySet) -> Result<BpfProgram, BackendError> {
    let mut program = vec![step(LOAD, ARCHITECTURE)];
    for (architecture, table) in [Some((NATIVE.1, NATIVE.2)), COMPATIBLE].into_iter().flatten() {
        let body = body(table, capabilities)?;
        program.push(test(IF_EQUAL, architecture, 1, 0));
        program.push(step(JUMP, u32::try_from(body.len()).unwrap_or(u32::MAX)));
        program.extend(body);
    }
    program.push(step(RETURN, NO_SUCH_CALL));
    Ok(program)
}

/// Compiles one architecture's part, which returns in any case.
fn body(table: Table, capabilities: CapabilitySet) -> Result<BpfProgram, BackendError> {
    let mut body = vec![step(LOAD, NUMBER), test(IF_ABOVE, calls::LAST, 0, 1), step(RETURN, NO_SUCH_CALL)];
    let privileged = capabilities.contains(CapabilitySet::SYS_ADMIN);
    if let Some(number) = table.number(calls::CLONE3).filter(|_| !privileged) {
        body.extend([test(IF_EQUAL, number, 0, 1), step(RETURN, NO_SUCH_CALL)]);
    }
    for &(first, last) in table.gaps() {
        body.extend([
            test(IF_AT_LEAST, first, 0, 2),
            test(IF_ABOVE, last, 1, 0),
            step(RETURN, NOT_PERMITTED),
        ]);
    }
    body.extend(tree(rules(table, capabilities)?)?);
    Ok(body)
}

/// Compiles rules to a part that returns in any case, with the number loaded.
///
/// The compiler asks for one number after the other. The kernel goes that way for every number there is when a filter is installed,
/// which every command waits for; so the way to a number parts in the middle until few are left.
fn tree(mut rules: BTreeMap<i64, Vec<SeccompRule>>) -> Result<BpfProgram, BackendError> {
    let middle = rules.keys().nth(rules.len() / 2).copied().filter(|_| rules.len() > NEIGHBOURS);
    let Some((middle, from)) = middle.and_then(|middle| Some((middle, u32::try_from(middle).ok()?))) else {
        return compiled(rules);
    };
    let upper = tree(rules.split_off(&middle))?;
    let lower = tree(rules)?;
    let over = u32::try_from(lower.len()).unwrap_or(u32::MAX);
    Ok([vec![test(IF_AT_LEAST, from, 0, 1), step(JUMP, over)], lower, upper].concat())
}

/// Has rules compiled.
fn compiled(rules: BTreeMap<i64, Vec<SeccompRule>>) -> Result<BpfProgram, BackendError> {
    let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, NATIVE.0)?;
    // It begins by killing whatever is not native, in three steps. That has been decided above.
    let compiled = BpfProgram::try_from(filter)?;
    let own_test = [step(LOAD, ARCHITECTURE), test(IF_EQUAL, NATIVE.1, 1, 0)];
    match compiled.split_at_checked(3) {
        Some((begin, rest)) if begin.starts_with(&own_test) => Ok(rest.to_vec()),
        _ => Err(BackendError::InvalidTargetArch("the compiler begins differently".to_owned())),
    }
}

/// Returns what is refused, by number. An empty list of rules refuses whatever the arguments.
fn rules(table: Table, capabilities: CapabilitySet) -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    let refused = calls::REFUSED.iter().filter(|(unless, _)| !capabilities.intersects(*unless));
    let mut rules: BTreeMap<_, _> = refused
        .flat_map(|(_, calls)| *calls)
        .filter_map(|&call| table.number(call))
        .map(|number| (i64::from(number), Vec::new()))
        .collect();
    // A call of 32 bits has what it likes in the upper half of its arguments, and the kernel does not look there.
    let width = || if table == Table::I386 { SeccompCmpArgLen::Dword } else { SeccompCmpArgLen::Qword };
    let first_is = |operator, value| SeccompCondition::new(0, width(), operator, value);
    let mut refuse = |call, alternatives| {
        if let Some(number) = table.number(call) {
            rules.insert(i64::from(number), alternatives);
        }
    };
    if !capabilities.contains(CapabilitySet::SYS_ADMIN) {
        let namespaces = calls::NAMESPACES.map(|flag| rule([first_is(SeccompCmpOp::MaskedEq(flag), flag)]));
        refuse(calls::CLONE, namespaces.into_iter().collect::<Result<_, _>>()?);
    }
    let others = calls::PERSONALITIES.map(|known| first_is(SeccompCmpOp::Ne, known));
    refuse(calls::PERSONALITY, vec![rule(others)?]);
    // The kernel looks at the lower half only, and so does this. Docker's own filter compares all of it.
    let families = calls::FAMILIES
        .map(|family| rule([SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, family)]));
    refuse(calls::SOCKET, families.into_iter().collect::<Result<_, _>>()?);
    Ok(rules)
}

/// A rule that applies if all conditions hold.
fn rule<const N: usize>(
    conditions: [Result<SeccompCondition, BackendError>; N],
) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(conditions.into_iter().collect::<Result<_, _>>()?)
}

fn step(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}

/// A test, and how many steps to skip if it holds and if it does not.
fn test(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
