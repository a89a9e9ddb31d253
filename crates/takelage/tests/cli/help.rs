//! What the program says about itself, and about arguments that it does not understand.

use insta::assert_snapshot;

use crate::support::TestProject;

#[test]
fn help_shows_the_three_verbs_first() {
    assert_snapshot!(TestProject::new().run(&["--help"]), @r#"
    status: 0
    --- stdout ---
    Develops, produces and tests container images from Ansible and pytest code

    Usage: takelage [OPTIONS] <COMMAND>

    Commands:
      develop      Create a container from the base image, provision it, verify it, and keep it
      produce      Provision the base image and commit the result as an image
      test         Create a container from the produced image and verify it
      create       Create the container that `develop` would use
      prepare      Make the container fit for Ansible: install Python where it is missing
      converge     Run the playbook on the container, creating it if needed
      idempotence  Run the playbook again and fail if anything changes
      verify       Run the checks against the container
      check        Show what the playbook would change, without changing it
      syntax       Check the syntax of the playbooks
      destroy      Remove the containers that were kept
      list         Show the images of the project and their state
      shell        Open a shell in the container, or run a command in it
      explain      Say what the last run of an image took from memory, and why not more
      diff         Show what a produced image adds to its base: packages, users, units and files
      inspect      Show what a produced image is, and what of it no container needs
      save         Write produced images to an archive
      push         Send produced images to the registries of their tags
      prune        Show what images and what is remembered take, and remove what nobody needs
      molecule     Run scenarios of Molecule as they are
      doctor       Show engine, Ansible, pytest and Python, and why each was chosen
      schema       Print the JSON Schema of `takelage.yml`, for editors
      completions  Print a completion script for a shell
      help         Print this message or the help of the given subcommand(s)

    Options:
      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version

    Global options:
      -C <DIR>
              Work in this directory, or the nearest one above it with a `takelage.yml`

          --engine <ENGINE>
              Which engine runs the containers [default: what the project file says]

              Possible values:
              - auto:     Docker where one answers, else the embedded one
              - docker:   Docker, or what speaks its API, such as Podman's socket
              - embedded: takelage's own, without a daemon

          --plain
              Run Ansible and pytest without any acceleration

          --no-cache
              Make everything again, and remember nothing

          --refresh
              Make everything again, and remember what comes of it

          --cache-dir <DIR>
              Where takelage remembers what it did [default: `$XDG_CACHE_HOME/takelage`]
              
              [env: TAKELAGE_CACHE_DIR=]

          --events <FILE>
              Write what happens to this file, as JSON lines

          --junit <FILE>
              Write the results of all checks to this file, as JUnit XML

      -v, --verbose...
              Say more; up to four times, passed on to Ansible

      -q, --quiet
              Say nothing but failures

          --color <WHEN>
              Use colours [default: on a terminal, unless `NO_COLOR` is set]

              Possible values:
              - auto:   On a terminal, unless `NO_COLOR` is set
              - always: Always
              - never:  Never

    Exit status: 0 done · 1 a task, a check or idempotence failed · 2 wrong usage or project file · 3
    engine, registry, toolchain or disk failed · 130 interrupted, and cleaned up
    "#);
}

#[test]
fn help_of_a_verb_says_what_else_it_does() {
    assert_snapshot!(TestProject::new().run(&["produce", "-h"]), @r#"
    status: 0
    --- stdout ---
    Provision the base image and commit the result as an image

    Usage: takelage produce [OPTIONS] [IMAGE]...

    Arguments:
      [IMAGE]...  Images of the project file [default: all]

    Options:
          --all                All images of the project file
          --on-failure <WHAT>  What to do with a container in which a task or check failed [default:
                               keep on a terminal, else remove] [possible values: keep, remove]
      -j, --jobs <N>           How many images to work on at once [default: one per processor]
      -h, --help               Print help (see more with '--help')
      -V, --version            Print version

    Global options:
      -C <DIR>               Work in this directory, or the nearest one above it with a `takelage.yml`
          --engine <ENGINE>  Which engine runs the containers [default: what the project file says]
                             [possible values: auto, docker, embedded]
          --plain            Run Ansible and pytest without any acceleration
          --no-cache         Make everything again, and remember nothing
          --refresh          Make everything again, and remember what comes of it
          --cache-dir <DIR>  Where takelage remembers what it did [default: `$XDG_CACHE_HOME/takelage`]
                             [env: TAKELAGE_CACHE_DIR=]
          --events <FILE>    Write what happens to this file, as JSON lines
          --junit <FILE>     Write the results of all checks to this file, as JUnit XML
      -v, --verbose...       Say more; up to four times, passed on to Ansible
      -q, --quiet            Say nothing but failures
          --color <WHEN>     Use colours [default: on a terminal, unless `NO_COLOR` is set] [possible
                             values: auto, always, never]
    "#);
}

#[test]
fn a_misspelt_command_is_corrected() {
    assert_snapshot!(TestProject::new().run(&["prodcue"]), @r#"
    status: 2
    --- stderr ---
    error: unrecognized subcommand 'prodcue'

      tip: a similar subcommand exists: 'produce'

    Usage: takelage [OPTIONS] <COMMAND>

    For more information, try '--help'.
    "#);
}

#[test]
fn a_name_that_no_image_can_have_is_refused() {
    assert_snapshot!(TestProject::new().run(&["test", "App"]), @r#"
    status: 2
    --- stderr ---
    error: invalid value 'App' for '[IMAGE]...': `App` is no image name: use lowercase letters and digits, separated by `-`, `_` or `.`

    For more information, try '--help'.
    "#);
}

#[test]
fn the_version_is_data() {
    let run = TestProject::new().run(&["--version"]);
    assert_eq!((run.status, run.stdout), (Some(0), format!("takelage {}\n", env!("CARGO_PKG_VERSION"))));
}
