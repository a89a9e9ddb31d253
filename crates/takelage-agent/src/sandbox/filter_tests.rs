use seccompiler::BpfProgramRef;

use super::*;

/// What a filter answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Allowed,
    Error(i32),
}

const REFUSED: Answer = Answer::Error(libc::EPERM);
const MISSING: Answer = Answer::Error(libc::ENOSYS);
const I386: u32 = 0x4000_0003;

/// Runs a filter as the kernel does.
fn ask(program: BpfProgramRef<'_>, architecture: u32, number: u32, arguments: [u64; 6]) -> Answer {
    walk(program, architecture, number, arguments).0
}

/// The same, and how many steps that took.
fn walk(program: BpfProgramRef<'_>, architecture: u32, number: u32, arguments: [u64; 6]) -> (Answer, usize) {
    let mut data = [number.to_ne_bytes(), architecture.to_ne_bytes()].concat();
    data.extend_from_slice(&[0; 8]);
    data.extend(arguments.iter().flat_map(|argument| argument.to_ne_bytes()));
    let (mut at, mut accumulator) = (0, 0_u32);
    for steps in 1..=program.len() {
        let sock_filter { code, jt, jf, k } = program[at];
        at += 1;
        let mut jump = |condition| at += usize::from(if condition { jt } else { jf });
        match u32::from(code) {
            0x20 => accumulator = u32::from_ne_bytes(data[k as usize..][..4].try_into().unwrap()),
            0x54 => accumulator &= k,
            0x05 => at += k as usize,
            0x15 => jump(accumulator == k),
            0x25 => jump(accumulator > k),
            0x35 => jump(accumulator >= k),
            0x06 if k == libc::SECCOMP_RET_ALLOW => return (Answer::Allowed, steps),
            0x06 if k & 0xffff_0000 == libc::SECCOMP_RET_ERRNO => {
                return (Answer::Error((k & 0xffff).cast_signed()), steps);
            }
            other => panic!("instruction {other:#x} with {k:#x}"),
        }
    }
    panic!("it does not end");
}

fn docker() -> CapabilitySet {
    CapabilitySet::from_bits_retain(0xa804_25fb)
}

fn native(program: BpfProgramRef<'_>, number: u32, arguments: [u64; 6]) -> Answer {
    ask(program, NATIVE.1, number, arguments)
}

fn number(call: libc::c_long) -> u32 {
    u32::try_from(call).unwrap()
}

/// What a filter should say to a number without arguments, by the table alone.
fn expected(table: Table, number: u32, capabilities: CapabilitySet) -> Answer {
    if number > calls::LAST {
        return MISSING;
    }
    let refused = calls::REFUSED.iter().any(|(unless, calls)| {
        !capabilities.intersects(*unless) && calls.iter().any(|&call| table.number(call) == Some(number))
    });
    if table.number(calls::CLONE3) == Some(number) && !capabilities.contains(CapabilitySet::SYS_ADMIN) {
        MISSING
    } else if refused || table.gaps().iter().any(|&(first, last)| (first..=last).contains(&number)) {
        REFUSED
    } else {
        Answer::Allowed
    }
}

#[test]
fn every_number_has_its_answer_on_every_architecture() {
    for capabilities in
        [CapabilitySet::empty(), docker(), docker() | CapabilitySet::SYS_ADMIN, CapabilitySet::all()]
    {
        let program = program(capabilities).unwrap();
        assert!(program.len() <= 4096, "{}", program.len());
        for number in (0..600).chain([0x4000_0000, 0x4000_0001, 0x7fff_ffff, u32::MAX]) {
            assert_eq!(
                native(&program, number, [0; 6]),
                expected(NATIVE.2, number, capabilities),
                "{number}"
            );
            let compatible = if cfg!(target_arch = "x86_64") {
                expected(Table::I386, number, capabilities)
            } else {
                MISSING
            };
            assert_eq!(ask(&program, I386, number, [0; 6]), compatible, "{number}");
            assert_eq!(ask(&program, 0xc000_0015, number, [0; 6]), MISSING, "{number} on ppc64le");
        }
        let generic = body(Table::Generic, capabilities).unwrap();
        for number in 0..600 {
            let answer = ask(&generic, NATIVE.1, number, [0; 6]);
            assert_eq!(answer, expected(Table::Generic, number, capabilities), "{number}");
        }
    }
}

#[test]
fn no_number_is_far_away() {
    let program = program(docker()).unwrap();
    let steps = |architecture| {
        let steps = (0..600).map(|number| walk(&program, architecture, number, [0; 6]).1);
        steps.max().unwrap()
    };
    let most = steps(NATIVE.1).max(steps(I386));
    assert!(most < 100, "{most} of {}", program.len());
}

#[test]
fn well_known_calls_are_as_under_docker() {
    let program = program(docker()).unwrap();
    let ask = |call| native(&program, number(call), [0; 6]);
    for call in [
        libc::SYS_read,
        libc::SYS_execve,
        libc::SYS_capset,
        libc::SYS_prctl,
        libc::SYS_setgroups,
        libc::SYS_setresuid,
        libc::SYS_chdir,
        libc::SYS_exit_group,
        libc::SYS_write,
        libc::SYS_ptrace,
        libc::SYS_chroot,
        libc::SYS_seccomp,
        libc::SYS_clone,
        libc::SYS_fchmodat2,
        libc::SYS_mseal,
        libc::SYS_close_range,
        libc::SYS_openat2,
    ] {
        assert_eq!(ask(call), Answer::Allowed, "{call}");
    }
    for call in [
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_keyctl,
        libc::SYS_bpf,
        libc::SYS_pivot_root,
        libc::SYS_reboot,
        libc::SYS_init_module,
        libc::SYS_kexec_load,
        libc::SYS_syslog,
        libc::SYS_open_by_handle_at,
        libc::SYS_process_madvise,
        libc::SYS_io_uring_setup,
        libc::SYS_settimeofday,
    ] {
        assert_eq!(ask(call), REFUSED, "{call}");
    }
    assert_eq!(ask(libc::SYS_clone3), MISSING);
}

#[test]
fn arguments_decide() {
    let program = program(docker()).unwrap();
    let ask = |call, argument| native(&program, number(call), [argument, 0, 0, 0, 0, 0]);
    // A thread, a process, and one of vfork.
    for flags in [0x003d_0f00, 0x0120_0011, 0x4111, 0x11, 0x8000_0000_0000_0011] {
        assert_eq!(ask(libc::SYS_clone, flags), Answer::Allowed, "{flags:#x}");
    }
    for flag in calls::NAMESPACES {
        assert_eq!(ask(libc::SYS_clone, flag | 0x11), REFUSED, "{flag:#x}");
    }
    for persona in [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff] {
        assert_eq!(ask(libc::SYS_personality, persona), Answer::Allowed, "{persona:#x}");
    }
    for persona in [1, 0x40_0000, 0x4_0000, u64::MAX, 0x1_0000_0000] {
        assert_eq!(ask(libc::SYS_personality, persona), REFUSED, "{persona:#x}");
    }
    for family in [0, 1, 2, 10, 16, 17, 37, 39, 41, 45] {
        assert_eq!(ask(libc::SYS_socket, family), Answer::Allowed, "{family}");
    }
    for family in [38, 40, 0x1_0000_0026, 0xffff_ffff_0000_0028] {
        assert_eq!(ask(libc::SYS_socket, family), REFUSED, "{family:#x}");
    }
    if cfg!(target_arch = "x86_64") {
        let ask = |number, argument| super::tests::ask(&program, I386, number, [argument, 0, 0, 0, 0, 0]);
        assert_eq!([ask(120, 0x11), ask(120, 0x1000_0011)], [Answer::Allowed, REFUSED]);
        assert_eq!(
            [ask(136, 8), ask(136, u64::MAX), ask(136, 1)],
            [Answer::Allowed, Answer::Allowed, REFUSED]
        );
        assert_eq!(
            [ask(120, 0xffff_ffff_1000_0011), ask(120, 0xffff_ffff_0000_0011)],
            [REFUSED, Answer::Allowed]
        );
        assert_eq!([ask(359, 1), ask(359, 38)], [Answer::Allowed, REFUSED]);
        // What is `mount` there is another call here, and the other way round.
        assert_eq!([ask(21, 0), ask(165, 0), ask(435, 0)], [REFUSED, Answer::Allowed, MISSING]);
    }
}

#[test]
fn capabilities_allow_more() {
    let with = |more| program(docker() | more).unwrap();
    for (capability, calls) in [
        (
            CapabilitySet::SYS_ADMIN,
            &[libc::SYS_mount, libc::SYS_unshare, libc::SYS_bpf, libc::SYS_clone3][..],
        ),
        (CapabilitySet::BPF, &[libc::SYS_bpf]),
        (CapabilitySet::SYSLOG, &[libc::SYS_syslog]),
        (CapabilitySet::SYS_PTRACE, &[libc::SYS_kcmp, libc::SYS_pidfd_getfd]),
        (CapabilitySet::SYS_TIME, &[libc::SYS_settimeofday]),
        (CapabilitySet::DAC_READ_SEARCH, &[libc::SYS_open_by_handle_at]),
    ] {
        for &call in calls {
            assert_ne!(
                native(&with(CapabilitySet::empty()), number(call), [0; 6]),
                Answer::Allowed,
                "{call}"
            );
            assert_eq!(native(&with(capability), number(call), [0; 6]), Answer::Allowed, "{call}");
        }
    }
    let admin = with(CapabilitySet::SYS_ADMIN);
    let flags = [0x7e02_0011, 0, 0, 0, 0, 0];
    assert_eq!(native(&admin, number(libc::SYS_clone), flags), Answer::Allowed);
    assert_eq!(native(&admin, number(libc::SYS_pivot_root), [0; 6]), REFUSED);
    let none = program(CapabilitySet::empty()).unwrap();
    assert_eq!(native(&none, number(libc::SYS_chroot), [0; 6]), REFUSED);
}

/// Reads a header of the kernel. `None`: it is not installed.
fn header(path: &str) -> Option<Vec<(String, i16)>> {
    let text = fs_err::read_to_string(path).ok()?;
    let lines = text.lines().filter_map(|line| line.strip_prefix("#define __NR"));
    let numbers = lines.filter_map(|line| {
        let (name, number) = line.trim_start_matches("3264").strip_prefix('_')?.split_once([' ', '\t'])?;
        Some((name.to_owned(), number.trim().parse().ok()?))
    });
    Some(numbers.collect())
}

#[test]
fn the_tables_are_the_kernels() {
    let rows: Vec<_> = calls::REFUSED.iter().flat_map(|(_, calls)| calls.iter().copied()).collect();
    let rows = [&rows[..], &[calls::CLONE, calls::CLONE3, calls::PERSONALITY, calls::SOCKET]].concat();
    for (index, row) in rows.iter().enumerate() {
        assert!(!rows[..index].iter().any(|other| other.0 == row.0), "{} is there twice", row.0);
    }
    let mut looked = 0;
    for (table, paths) in [
        (
            Table::X86_64,
            &["/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h"][..],
        ),
        (Table::I386, &["/usr/include/x86_64-linux-gnu/asm/unistd_32.h", "/usr/include/asm/unistd_32.h"]),
        (Table::Generic, &["/usr/include/asm-generic/unistd.h"]),
    ] {
        let Some(numbers) = paths.iter().find_map(|path| header(path)) else { continue };
        looked += 1;
        let newest = numbers.iter().map(|&(_, number)| number).max().unwrap();
        for row in &rows {
            let known = numbers
                .iter()
                .find(|(name, _)| name == row.0)
                .map(|&(_, number)| u32::from(number.unsigned_abs()));
            let ours = table.number(*row);
            // These are newer than some headers.
            if ours.is_none_or(|number| number <= u32::from(newest.unsigned_abs())) {
                // The table that is shared lists calls of 32 bits as well.
                let foreign =
                    table == Table::Generic && known.is_some_and(|number| (403..=423).contains(&number));
                assert!(
                    ours == known || (foreign && ours.is_none()),
                    "{} in {table:?}: {ours:?}, {known:?}",
                    row.0
                );
            }
        }
        for &(first, last) in table.gaps() {
            let taken = numbers.iter().find(|(name, number)| {
                let number = u32::from(number.unsigned_abs());
                let foreign = table == Table::Generic && (number == 244 || (403..=423).contains(&number));
                (first..=last).contains(&number) && !foreign && name != "uretprobe" && name != "uprobe"
            });
            assert_eq!(taken, None, "in {table:?}");
        }
    }
    assert!(looked > 0, "no header of the kernel is installed");
}
