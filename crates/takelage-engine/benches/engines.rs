//! The embedded engine against Docker, over its API and by its command line, and against GNU tar: as root, with a Docker
//! daemon that has a Debian image.
//!
//! ```sh
//! cargo bench -p takelage-engine --bench engines [-- [ROUNDS] [IMAGE]]
//! ```
//!
//! The sides take turns in every round, after one round that does not count. Each round is said when it is done, on standard
//! error. What is printed in the end are medians in milliseconds, and ratios: machines differ and are noisy, so only ratios
//! of one run mean something.

use std::{
    collections::BTreeMap,
    error::Error,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use takelage_engine::{
    Container, ContainerSpec, Engine, ExecSpec, History, ImageArchive, ImageConfig, ImageRecord, Reference,
    docker::{self, Docker},
    embedded::{self, Embedded},
};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// The image that is measured with, unless another is named.
const IMAGE: &str = "takelwerk/takelslim:latest";
const ROUNDS: usize = 5;
/// How much is put and got, in bytes.
const SIZE: usize = 100 << 20;
/// So many commands are run for one measurement, as short as they are.
const COMMANDS: u32 = 10;
/// What is measured of containers, and the ratio to reach.
const ROWS: [(&str, Option<f64>); 8] = [
    ("create to first command", Some(0.1)),
    ("exec of true", Some(0.03)),
    ("snapshot, unchanged", Some(0.02)),
    ("put 100 MB", Some(0.4)),
    ("get 100 MB", Some(0.4)),
    ("snapshot of them", None),
    ("commit of them", None),
    ("delete", Some(0.1)),
];

/// What one round took, in the order of [`ROWS`].
type Round = [Duration; ROWS.len()];

/// What all sides work with.
struct Inputs {
    scratch: PathBuf,
    /// The image's file system as one layer.
    layer: PathBuf,
    config: ImageConfig,
    name: Reference,
    /// [`SIZE`] bytes that do not compress, as a file and as an archive of it.
    noise: PathBuf,
    tar: bytes::Bytes,
}

#[tokio::main]
async fn main() -> Outcome {
    // Cargo adds a flag for harnesses.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let rounds = words.first().map_or(Ok(ROUNDS), |word| word.parse())?;
    let image = words.get(1).map_or(IMAGE, String::as_str);
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let inputs = Inputs::new(scratch.path(), image)?;
    let docker = Docker::connect(&settings(scratch.path())).await?;
    let engine = open(&scratch.path().join("engine")).await?;
    let base = engine.load(inputs.archive()?).await?;
    let lent = docker.load(inputs.archive()?).await?;
    let measured = Box::pin(measure(&inputs, rounds, (&engine, &base), (&docker, &lent))).await;
    docker.remove_image(inputs.name.as_str()).await?;
    let [embedded, api, cli] = measured?;
    for (row, (name, goal)) in ROWS.into_iter().enumerate() {
        let own = median(&embedded, row);
        report(name, own, &[("API", median(&api, row)), ("CLI", median(&cli, row))], goal)?;
    }
    let (fresh, load, extract) = unpack(&inputs, rounds, median(&embedded, 0)).await?;

    let middle = |times: &[[Duration; 2]], column: usize| middle(times.iter().map(|it| it[column]).collect());
    let unpacked = middle(&fresh, 1);
    report("unpack the image", unpacked, &[("GNU tar", extract)], Some(1.0))?;
    report("load and unpack it", middle(&fresh, 0) + unpacked, &[("docker load", load)], None)
}

/// Measures containers of all three sides.
async fn measure(
    inputs: &Inputs,
    rounds: usize,
    (engine, base): (&Embedded, &ImageRecord),
    (docker, lent): (&Docker, &ImageRecord),
) -> Outcome<[Vec<Round>; 3]> {
    let mut all = [const { Vec::new() }; 3];
    for round in 0..=rounds {
        let times = [
            over_api(engine, base, inputs, round).await?,
            over_api(docker, lent, inputs, round).await?,
            by_command(inputs)?,
        ];
        for (row, (name, _)) in ROWS.into_iter().enumerate() {
            let times = ["embedded", "API", "CLI"].into_iter().zip(times.each_ref().map(|times| times[row]));
            say(round, rounds, name, times);
        }
        if round > 0 {
            for (all, time) in all.iter_mut().zip(times) {
                all.push(time);
            }
        }
    }
    Ok(all)
}

async fn over_api<E: Engine>(
    engine: &E,
    image: &ImageRecord,
    inputs: &Inputs,
    round: usize,
) -> Outcome<Round> {
    let spec = ContainerSpec::new(format!("takelage-bench-{}-{round}", std::process::id()), image.id);
    let truth = || ExecSpec { argv: vec!["true".to_owned()], ..ExecSpec::default() };
    let mut watch = Watch::new();
    let container = engine.create(&spec).await?;
    let work = async {
        container.run(truth()).await?;
        let create = watch.lap();
        for _ in 0..COMMANDS {
            container.run(truth()).await?;
        }
        let exec = watch.lap() / COMMANDS;
        let mut snapshots = vec![container.snapshot(&BTreeMap::new()).await?];
        let unchanged = watch.lap();
        container.put("/srv", inputs.tar.clone()).await?;
        let put = watch.lap();
        let got = container.get("/srv/noise").await?;
        let get = watch.lap();
        assert!(got.len() > SIZE, "all of it came back");
        drop(got);
        let mut config = image.config.clone();
        config.history.push(History::default());
        watch.lap();
        snapshots.push(container.snapshot(&BTreeMap::new()).await?);
        let changed = watch.lap();
        let made = container.commit(&config, None, None).await?;
        let commit = watch.lap();
        engine.remove_image(&made.id.to_string()).await?;
        for snapshot in &snapshots {
            engine.remove_snapshot(snapshot).await?;
        }
        Ok::<_, Box<dyn Error>>([create, exec, unchanged, put, get, changed, commit])
    };
    let times = work.await;
    let mut watch = Watch::new();
    container.remove().await?;
    let delete = watch.lap();
    let [create, exec, unchanged, put, get, changed, commit] = times?;
    Ok([create, exec, unchanged, put, get, changed, commit, delete])
}

fn by_command(inputs: &Inputs) -> Outcome<Round> {
    let (name, got) = (format!("takelage-bench-{}-cli", std::process::id()), inputs.scratch.join("got"));
    let mut watch = Watch::new();
    run("docker", &["run", "--detach", "--name", &name, inputs.name.as_str(), "sleep", "infinity"])?;
    let mut work = || {
        run("docker", &["exec", &name, "true"])?;
        let create = watch.lap();
        for _ in 0..COMMANDS {
            run("docker", &["exec", &name, "true"])?;
        }
        let exec = watch.lap() / COMMANDS;
        let mut made = vec![run("docker", &["commit", &name])?];
        let unchanged = watch.lap();
        run("docker", &["cp", text(&inputs.noise), &format!("{name}:/srv/noise")])?;
        let put = watch.lap();
        run("docker", &["cp", &format!("{name}:/srv/noise"), text(&got)])?;
        let get = watch.lap();
        // What is a snapshot elsewhere is one more commit here.
        let mut commit = || {
            made.push(run("docker", &["commit", &name])?);
            Ok::<_, Box<dyn Error>>(watch.lap())
        };
        let (changed, commit) = (commit()?, commit()?);
        for image in &made {
            run("docker", &["rmi", image])?;
        }
        Ok::<_, Box<dyn Error>>([create, exec, unchanged, put, get, changed, commit])
    };
    let times = work();
    let mut watch = Watch::new();
    run("docker", &["rm", "--force", &name])?;
    let delete = watch.lap();
    let [create, exec, unchanged, put, get, changed, commit] = times?;
    Ok([create, exec, unchanged, put, get, changed, commit, delete])
}

/// Measures how an image becomes files. Of the embedded engine: to load it into a new store, and how much longer the first
/// container takes than others, which take `create`; of Docker, to load it; of GNU tar, to unpack its layer.
async fn unpack(
    inputs: &Inputs,
    rounds: usize,
    create: Duration,
) -> Outcome<(Vec<[Duration; 2]>, Duration, Duration)> {
    let archive = inputs.scratch.join("image.tar");
    inputs.archive()?.write(std::fs::File::create_new(&archive)?)?;
    let (mut embedded, mut docker, mut tar) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=rounds {
        let directory = tempfile::tempdir_in(&inputs.scratch)?;
        let engine = open(&directory.path().join("engine")).await?;
        let mut watch = Watch::new();
        let image = engine.load(inputs.archive()?).await?;
        let load = watch.lap();
        let spec = ContainerSpec::new(format!("takelage-bench-{}-unpack", std::process::id()), image.id);
        let container = engine.create(&spec).await?;
        container.run(ExecSpec { argv: vec!["true".to_owned()], ..ExecSpec::default() }).await?;
        let unpack = watch.lap().saturating_sub(create);
        container.remove().await?;
        let to = directory.path().join("tar");
        fs_err::create_dir(&to)?;
        watch.lap();
        run("tar", &["-xf", text(&inputs.layer), "-C", text(&to), "--numeric-owner", "--xattrs"])?;
        let extract = watch.lap();
        run("docker", &["load", "--input", text(&archive)])?;
        let loaded = watch.lap();
        run("docker", &["rmi", inputs.name.as_str()])?;
        say(round, rounds, "unpack the image", [("embedded", unpack), ("GNU tar", extract)]);
        say(round, rounds, "load and unpack it", [("embedded", load + unpack), ("docker load", loaded)]);
        if round > 0 {
            embedded.push([load, unpack]);
            docker.push(loaded);
            tar.push(extract);
        }
    }
    Ok((embedded, middle(docker), middle(tar)))
}

impl Inputs {
    fn new(scratch: &Path, image: &str) -> Outcome<Self> {
        let (layer, noise) = (scratch.join("layer.tar"), scratch.join("noise"));
        let container = run("docker", &["create", image, "true"])?;
        let exported = run("docker", &["export", "--output", text(&layer), &container]);
        run("docker", &["rm", &container])?;
        exported?;
        let mut state = 7_u32;
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        let bytes: Vec<u8> = std::iter::repeat_with(next).take(SIZE).collect();
        fs_err::write(&noise, &bytes)?;
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, "noise", bytes.as_slice())?;
        let config =
            ImageConfig { architecture: "amd64".into(), os: "linux".into(), ..ImageConfig::default() };
        let name = format!("takelage-bench/base:{}", std::process::id()).parse()?;
        let tar = tar.into_inner()?.into();
        Ok(Self { scratch: scratch.to_owned(), layer, config, name, noise, tar })
    }

    fn archive(&self) -> Outcome<ImageArchive> {
        let archive =
            ImageArchive::of_layers(&self.config, std::slice::from_ref(&self.layer), &self.scratch)?;
        Ok(archive.named(Some(&self.name)))
    }
}

/// Tells laps.
struct Watch(Instant);

impl Watch {
    fn new() -> Self {
        Self(Instant::now())
    }

    fn lap(&mut self) -> Duration {
        let before = std::mem::replace(&mut self.0, Instant::now());
        self.0 - before
    }
}

/// Prints medians and their ratios.
fn report(name: &str, own: Duration, others: &[(&str, Duration)], goal: Option<f64>) -> Outcome {
    use std::fmt::Write as _;
    let mut line = format!("{name:24} embedded {:>9.1} ms", own.as_secs_f64() * 1e3);
    let mut worst = 0_f64;
    for (other, time) in others {
        let ratio = own.as_secs_f64() / time.as_secs_f64();
        worst = worst.max(ratio);
        let _ = write!(line, " | {other} {:>9.1} ms, ratio {ratio:.3}", time.as_secs_f64() * 1e3);
    }
    if let Some(goal) = goal {
        let word = if worst <= goal { "reached" } else { "missed" };
        let _ = write!(line, " | goal {goal} {word}");
    }
    line.push('\n');
    std::io::stdout().write_all(line.as_bytes())?;
    Ok(())
}

/// Says what one round took. The first one does not count.
#[expect(clippy::print_stderr, reason = "whoever waits sees how far it is")]
fn say<'a>(round: usize, rounds: usize, name: &str, times: impl IntoIterator<Item = (&'a str, Duration)>) {
    let times: Vec<_> =
        times.into_iter().map(|(side, time)| format!("{side} {:.1} ms", time.as_secs_f64() * 1e3)).collect();
    eprintln!("{round}/{rounds} {name:24} {}", times.join(" | "));
}

fn median(rounds: &[Round], row: usize) -> Duration {
    middle(rounds.iter().map(|round| round[row]).collect())
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Runs a program and returns what it wrote.
fn run(program: &str, arguments: &[&str]) -> Outcome<String> {
    let output = Command::new(program).args(arguments).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{program} {}: {said}", arguments.join(" ")).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

async fn open(root: &Path) -> Outcome<Embedded> {
    let settings = embedded::Settings {
        root: root.to_owned(),
        program: env!("CARGO_BIN_EXE_takelage-engine-helper").into(),
        config_dir: None,
        mirrors: BTreeMap::new(),
        docker: None,
    };
    Ok(Embedded::open(&settings).await?)
}

#[expect(clippy::disallowed_methods, reason = "a benchmark is its own caller")]
fn settings(scratch: &Path) -> docker::Settings {
    docker::Settings {
        host: std::env::var("DOCKER_HOST").ok(),
        tls: None,
        config_dir: None,
        scratch: scratch.to_owned(),
        // What is measured against is Docker's own way, not takelage's stream through it.
        plain: true,
    }
}
