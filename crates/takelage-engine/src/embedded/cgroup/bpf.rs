//! Programs for the kernel's own machine, as far as rules about devices need it.
//!
//! ```text
//! 0     1     2        4              8
//! ┌─────┬─────┬────────┬──────────────┐
//! │ code│ s│ d│ offset │     value    │   one instruction; s and d are registers
//! └─────┴─────┴────────┴──────────────┘
//! ```
//!
//! A few dozen instructions and two calls: the crates for this are made for programs that a compiler has written.

use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
};

use rustix::process::{Resource, Rlimit};

/// How much memory programs may take together before Linux 5.11, which counts it for the user, in bytes; `runc`'s.
const MEMORY: u64 = 128 << 20;
/// Commands of the call.
const LOAD: libc::c_int = 5;
const ATTACH: libc::c_int = 8;
/// A program that is asked about devices, and where it is attached.
const CGROUP_DEVICE_PROGRAM: u32 = 15;
const CGROUP_DEVICE: u32 = 6;
/// Groups below may have programs of their own; then all have to say yes.
const ALLOW_MULTI: u32 = 2;

/// A register. The first one is for what is returned, the second one begins with the address of what the program is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Register(pub(super) u8);

/// One instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    value: i32,
}

impl Instruction {
    /// Sets a register to the 32 bits at `offset` of what another one points to.
    pub(super) fn load(to: Register, from: Register, offset: i16) -> Self {
        Self { code: 0x61, registers: registers(to, from), offset, value: 0 }
    }

    /// Sets a register to another one.
    pub(super) fn copy(to: Register, from: Register) -> Self {
        Self { code: 0xbf, registers: registers(to, from), offset: 0, value: 0 }
    }

    /// Sets a register to a value.
    pub(super) fn set(to: Register, value: i32) -> Self {
        Self { code: 0xb7, registers: registers(to, Register(0)), offset: 0, value }
    }

    /// Clears the bits of a register that `value` does not have.
    pub(super) fn and(to: Register, value: i32) -> Self {
        Self { code: 0x57, registers: registers(to, Register(0)), offset: 0, value }
    }

    /// Shifts a register to the right.
    pub(super) fn shift_right(to: Register, bits: i32) -> Self {
        Self { code: 0x77, registers: registers(to, Register(0)), offset: 0, value: bits }
    }

    /// Goes on behind the next `count` instructions unless a register has a value.
    pub(super) fn skip_unless_equal(register: Register, value: i32, count: usize) -> io::Result<Self> {
        let offset = i16::try_from(count).map_err(io::Error::other)?;
        Ok(Self { code: 0x55, registers: registers(register, Register(0)), offset, value })
    }

    /// Ends the program.
    pub(super) fn exit() -> Self {
        Self { code: 0x95, registers: 0, offset: 0, value: 0 }
    }
}

/// Both in one byte, in the order of the machine's bits.
fn registers(to: Register, from: Register) -> u8 {
    if cfg!(target_endian = "little") { to.0 | from.0 << 4 } else { to.0 << 4 | from.0 }
}

/// What the kernel wants to know to load a program: the beginning of its `union bpf_attr`.
#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    licence: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
}

/// The same to attach one.
#[repr(C)]
struct Attach {
    target: u32,
    program: u32,
    place: u32,
    flags: u32,
}

/// Hands a program over to the kernel, which checks it. It goes when nobody has it any more.
#[expect(unsafe_code, reason = "what the kernel returns is a new descriptor, which has no owner yet")]
pub(super) fn load(program: &[Instruction]) -> io::Result<OwnedFd> {
    // Newer kernels do not ask for it.
    let limit = Rlimit { current: Some(MEMORY), maximum: Some(MEMORY) };
    let _ = rustix::process::setrlimit(Resource::Memlock, limit);
    let attributes = Load {
        kind: CGROUP_DEVICE_PROGRAM,
        count: u32::try_from(program.len()).map_err(io::Error::other)?,
        instructions: program.as_ptr().addr() as u64,
        licence: c"Apache-2.0".as_ptr().addr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
    };
    let fd = call(LOAD, &attributes)?;
    // SAFETY: the call has just made it, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Attaches a program to a group, beside those that are there, for as long as there is the group.
pub(super) fn attach(program: BorrowedFd<'_>, group: BorrowedFd<'_>) -> io::Result<()> {
    let attributes = Attach {
        target: group.as_raw_fd().cast_unsigned(),
        program: program.as_raw_fd().cast_unsigned(),
        place: CGROUP_DEVICE,
        flags: ALLOW_MULTI,
    };
    call(ATTACH, &attributes).map(drop)
}

#[expect(unsafe_code, reason = "nothing safe makes this call")]
fn call<T>(command: libc::c_int, attributes: &T) -> io::Result<libc::c_int> {
    // SAFETY: `attributes` has the layout that the kernel wants for the command, and the length that it is told; what its
    // addresses point to outlives the call. The kernel only reads both.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw const *attributes, size_of::<T>()) };
    match libc::c_int::try_from(result) {
        Ok(result) if result >= 0 => Ok(result),
        _ => Err(io::Error::last_os_error()),
    }
}
