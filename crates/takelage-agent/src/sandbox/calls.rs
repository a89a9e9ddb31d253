//! The system calls that Docker's default profile does not simply allow.
//!
//! The profile is a list of what is allowed. Turned around it is short enough to be read: of the numbers up to
//! [`LAST`], which is the newest call that it knows, everything is allowed but what stands here, and what no call has.
//! Calls newer than that do not exist in a container.

use rustix::thread::CapabilitySet as Cap;

/// The newest call that the profile knows, `removexattrat`; its number is the same everywhere.
pub(super) const LAST: u32 = 466;

/// A call's name, and its number on `x86_64`, on i386, and in the table that `aarch64` and `riscv64` share; -1 where there
/// is none.
pub(super) type Call = (&'static str, i16, i16, i16);

/// Which of the numbers of a [`Call`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(test), expect(dead_code, reason = "an architecture uses its own; tests look at all"))]
pub(super) enum Table {
    X86_64,
    I386,
    Generic,
}

impl Table {
    /// Returns a call's number.
    pub(super) fn number(self, call: Call) -> Option<u32> {
        let number = match self {
            Self::X86_64 => call.1,
            Self::I386 => call.2,
            Self::Generic => call.3,
        };
        u32::try_from(number).ok()
    }

    /// Returns the numbers, first and last, that no call of the profile has.
    pub(super) fn gaps(self) -> &'static [(u32, u32)] {
        match self {
            Self::X86_64 => &[(336, 423)],
            Self::I386 => &[(222, 223), (251, 251), (285, 285), (387, 392), (415, 415)],
            Self::Generic if cfg!(target_arch = "riscv64") => &[(244, 257), (295, 423)],
            Self::Generic => &[(244, 259), (295, 423)],
        }
    }
}

/// Allowed only with arguments that make no namespace.
pub(super) const CLONE: Call = ("clone", 56, 120, 220);
/// Its arguments lie in memory, where no filter sees them. So it does not exist, and libc falls back to `clone`.
pub(super) const CLONE3: Call = ("clone3", 435, 435, 435);
/// Allowed for [`PERSONALITIES`].
pub(super) const PERSONALITY: Call = ("personality", 135, 136, 92);
/// Not for [`FAMILIES`]. On i386 libc has a second way, `socketcall`, which Docker leaves open.
pub(super) const SOCKET: Call = ("socket", 41, 359, 198);

/// The flags of `clone` that make namespaces: mount, cgroup, UTS, IPC, user, PID and network.
pub(super) const NAMESPACES: [u64; 7] =
    [0x2_0000, 0x200_0000, 0x400_0000, 0x800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000];
/// Linux, Linux with 32-bit addresses, both with the old name of the kernel, and the question which it is.
pub(super) const PERSONALITIES: [u64; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];
/// The address families that are refused: `AF_ALG`, the kernel's cryptography, and `AF_VSOCK`, which reaches past
/// network namespaces to the hypervisor.
pub(super) const FAMILIES: [u64; 2] = [38, 40];

/// Calls that are refused unless one of the capabilities is there.
pub(super) const REFUSED: &[(Cap, &[Call])] = &[
    // Keys are not in namespaces, and neither are pages, swap and the kernel to boot.
    (
        Cap::empty(),
        &[
            ("add_key", 248, 286, 217),
            ("io_uring_enter", 426, 426, 426),
            ("io_uring_register", 427, 427, 427),
            ("io_uring_setup", 425, 425, 425),
            ("kexec_file_load", 320, -1, 294),
            ("kexec_load", 246, 283, 104),
            ("keyctl", 250, 288, 219),
            ("migrate_pages", 256, 294, 238),
            ("move_pages", 279, 317, 239),
            ("nfsservctl", 180, 169, 42),
            ("pivot_root", 155, 217, 41),
            ("request_key", 249, 287, 218),
            ("swapoff", 168, 115, 225),
            ("swapon", 167, 87, 224),
            ("userfaultfd", 323, 374, 282),
        ],
    ),
    // Obsolete, or never written.
    (
        Cap::empty(),
        &[
            ("_sysctl", 156, 149, -1),
            ("afs_syscall", 183, 137, -1),
            ("bdflush", -1, 134, -1),
            ("break", -1, 17, -1),
            ("create_module", 174, 127, -1),
            ("ftime", -1, 35, -1),
            ("get_kernel_syms", 177, 130, -1),
            ("getpmsg", 181, 188, -1),
            ("gtty", -1, 32, -1),
            ("idle", -1, 112, -1),
            ("lock", -1, 53, -1),
            ("mpx", -1, 56, -1),
            ("nice", -1, 34, -1),
            ("oldfstat", -1, 28, -1),
            ("oldlstat", -1, 84, -1),
            ("oldolduname", -1, 59, -1),
            ("oldstat", -1, 18, -1),
            ("olduname", -1, 109, -1),
            ("prof", -1, 44, -1),
            ("profil", -1, 98, -1),
            ("putpmsg", 182, 189, -1),
            ("query_module", 178, 167, -1),
            ("readdir", -1, 89, -1),
            ("security", 185, -1, -1),
            ("sgetmask", -1, 68, -1),
            ("sigaction", -1, 67, -1),
            ("signal", -1, 48, -1),
            ("sigpending", -1, 73, -1),
            ("sigsuspend", -1, 72, -1),
            ("ssetmask", -1, 69, -1),
            ("stty", -1, 31, -1),
            ("sysfs", 139, 135, -1),
            ("tuxcall", 184, -1, -1),
            ("ulimit", -1, 58, -1),
            ("uselib", 134, 86, -1),
            ("ustat", 136, 62, -1),
            ("vm86", -1, 166, -1),
            ("vm86old", -1, 113, -1),
            ("vserver", 236, 273, -1),
        ],
    ),
    (
        Cap::SYS_ADMIN,
        &[
            ("fanotify_init", 300, 338, 262),
            ("fsconfig", 431, 431, 431),
            ("fsmount", 432, 432, 432),
            ("fsopen", 430, 430, 430),
            ("fspick", 433, 433, 433),
            ("lookup_dcookie", 212, 253, 18),
            ("lsm_get_self_attr", 459, 459, 459),
            ("lsm_list_modules", 461, 461, 461),
            ("lsm_set_self_attr", 460, 460, 460),
            ("mount", 165, 21, 40),
            ("mount_setattr", 442, 442, 442),
            ("move_mount", 429, 429, 429),
            ("open_tree", 428, 428, 428),
            ("quotactl", 179, 131, 60),
            ("quotactl_fd", 443, 443, 443),
            ("setdomainname", 171, 121, 162),
            ("sethostname", 170, 74, 161),
            ("setns", 308, 346, 268),
            ("umount", -1, 22, -1),
            ("umount2", 166, 52, 39),
            ("unshare", 272, 310, 97),
        ],
    ),
    (Cap::SYS_ADMIN.union(Cap::BPF), &[("bpf", 321, 357, 280)]),
    (Cap::SYS_ADMIN.union(Cap::PERFMON), &[("perf_event_open", 298, 336, 241)]),
    (Cap::SYS_ADMIN.union(Cap::SYSLOG), &[("syslog", 103, 103, 116)]),
    (Cap::DAC_READ_SEARCH, &[("open_by_handle_at", 304, 342, 265)]),
    (Cap::SYS_BOOT, &[("reboot", 169, 88, 142)]),
    (Cap::SYS_CHROOT, &[("chroot", 161, 61, 51)]),
    (
        Cap::SYS_MODULE,
        &[("delete_module", 176, 129, 106), ("finit_module", 313, 350, 273), ("init_module", 175, 128, 105)],
    ),
    (
        Cap::SYS_NICE,
        &[
            ("get_mempolicy", 239, 275, 236),
            ("mbind", 237, 274, 235),
            ("set_mempolicy", 238, 276, 237),
            ("set_mempolicy_home_node", 450, 450, 450),
        ],
    ),
    (Cap::SYS_PACCT, &[("acct", 163, 51, 89)]),
    (
        Cap::SYS_PTRACE,
        &[("kcmp", 312, 349, 272), ("pidfd_getfd", 438, 438, 438), ("process_madvise", 440, 440, 440)],
    ),
    (Cap::SYS_RAWIO, &[("ioperm", 173, 101, -1), ("iopl", 172, 110, -1)]),
    (
        Cap::SYS_TIME,
        &[
            ("clock_settime", 227, 264, 112),
            ("clock_settime64", -1, 404, -1),
            ("settimeofday", 164, 79, 170),
            ("stime", -1, 25, -1),
        ],
    ),
    (Cap::SYS_TTY_CONFIG, &[("vhangup", 153, 111, 58)]),
];
