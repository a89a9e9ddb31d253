//! Project files that are wrong, and what is said about them.

use insta::assert_snapshot;

use crate::files::problems;

#[test]
fn one_error_lists_all_problems_where_they_are() {
    assert_snapshot!(problems(r#"
name: Harbour
engine: dokcer
images:
  takelbase:
    from: debian:${TAG:-}
    playbok: ansible/takelbase.yml
    tags: 5
  app:
    from: takelbse
    playbook: ansible/ap.yml
    tests: tests/app
    tests: tests/app
    container:
      env: {A: [1]}
      command: "sh -c 'x"
      tmpfs: [1]
    config: {cmd: {a: b}}
cache: {size: big}
"#), @r"
    /project/takelage.yml:2:7: `Harbour` is no project name
      use lowercase letters and digits, separated by `-`, `_` or `.`
    /project/takelage.yml:3:9: `engine` cannot be `dokcer`, did you mean `docker`?
      use one of `auto`, `docker` and `embedded`
    /project/takelage.yml:6:18: invalid placeholder
      the default is empty; leave it out, what is not set is empty anyway
    /project/takelage.yml:7:5: unknown key `playbok`, did you mean `playbook`?
    /project/takelage.yml:8:11: `tags` must be a list of strings, not a number
    /project/takelage.yml:10:11: no image `takelbse` in this file, did you mean `takelbase`?
      if it is an image of a registry, say so with its tag: `takelbse:latest`
    /project/takelage.yml:11:15: there is no file `ansible/ap.yml`, did you mean `ansible/app.yml`?
    /project/takelage.yml:13:5: key `tests` is here a second time, the first is at 12:5
    /project/takelage.yml:15:16: `A` in `env` must be a string, not a list
    /project/takelage.yml:16:16: the command has a quote that is not closed
    /project/takelage.yml:17:15: item 1 of `tmpfs` must be a string, not a number
      put it in quotes
    /project/takelage.yml:18:19: `cmd` must be a string or a list of strings, not a map
    /project/takelage.yml:19:15: `big` is no size
      write it like `512MiB` or `20GB`
    ");
}

#[test]
fn wrong_types_and_values_say_what_would_be_right() {
    assert_snapshot!(problems(r#"
images:
  app:
    from: 5
    layers: system
    playbook:
    tags: [a, 1.2, {}]
    prepare: pyhton
    extra_vars: [1]
    bootstrap: {components: []}
    container: {systemd: "yes", env: [A=1], command: [sh, 5], tmpfs: {/run: 1}, ports: 80}
    config: {healthcheck: {interval: 5 minuets, retries: -1}, expose: [http], workdir: srv, volumes: [data]}
    inventory: {groups: web, host_vars: {app: x}, links: {host: x}}
    images: {}
    zzz: 1
cache: yes
"#), @r"
    /project/takelage.yml:4:11: `from` must be a string, not a number
      put it in quotes
    /project/takelage.yml:5:13: `layers` must be a list of strings, not a string
    /project/takelage.yml:6:5: `playbook` must be a string, but has no value
      leave the key out, or check whether a variable in it is set
    /project/takelage.yml:6:5: an image has a `playbook` or `layers`, not both
    /project/takelage.yml:7:15: item 2 of `tags` must be a string, not a number
      put it in quotes
    /project/takelage.yml:7:20: item 3 of `tags` must be a string, not a map
    /project/takelage.yml:8:14: `prepare` cannot be `pyhton`, did you mean `python`?
      use one of `python` and `none`
    /project/takelage.yml:9:17: `extra_vars` must be a map, not a list
    /project/takelage.yml:10:5: `bootstrap` lacks the key `suite`
    /project/takelage.yml:10:5: an image is made by `from` or by `bootstrap`, not by both
    /project/takelage.yml:10:29: `components` must not be empty
    /project/takelage.yml:11:26: `systemd` must be `true` or `false`, not a string
    /project/takelage.yml:11:38: `env` must be a map, not a list
    /project/takelage.yml:11:59: item 2 of `command` must be a string, not a number
      put it in quotes
    /project/takelage.yml:11:77: `/run` in `tmpfs` must be a string, not a number
      put it in quotes
    /project/takelage.yml:11:88: `ports` must be a list of strings, not a number
    /project/takelage.yml:12:14: `healthcheck` lacks the key `test`
    /project/takelage.yml:12:58: `retries` must be at least 0
    /project/takelage.yml:12:72: `http` is no port: write `80` or `53/udp`
    /project/takelage.yml:12:88: working directory `srv` must be an absolute path
    /project/takelage.yml:12:103: mount point `data` must be an absolute path
    /project/takelage.yml:13:25: `groups` must be a list of strings, not a string
    /project/takelage.yml:13:47: `app` in `host_vars` must be a map, not a string
    /project/takelage.yml:13:59: unknown key `host`, did you mean `hosts`?
    /project/takelage.yml:14:5: unknown key `images`
      known here are `from`, `bootstrap`, `playbook`, `layers`, `prepare`, `roles_path`, `extra_vars`, `inventory`, `container`, `tests`, `config`, `clean` and `tags`
    /project/takelage.yml:15:5: unknown key `zzz`
      known here are `from`, `bootstrap`, `playbook`, `layers`, `prepare`, `roles_path`, `extra_vars`, `inventory`, `container`, `tests`, `config`, `clean` and `tags`
    /project/takelage.yml:16:8: `cache` must be a map, not a boolean
    ");
}

#[test]
fn what_an_image_is_based_on_must_be_clear() {
    assert_snapshot!(problems(r#"
images:
  none: {tests: tests}
  both:
    from: debian
    bootstrap: {suite: bookworm}
  Upper: {from: debian}
  url: {from: https://registry.example/app}
  space: {from: debian bookworm}
  file: {from: "oci-archive:bse.tar"}
  mirror: {bootstrap: {suite: a b, mirror: ftp.example}}
  x: {from: debain}
"#), @r"
    /project/takelage.yml:3:3: the image needs `from` or `bootstrap`, to say what it is based on
    /project/takelage.yml:6:5: an image is made by `from` or by `bootstrap`, not by both
    /project/takelage.yml:7:3: `Upper` is no image name: use lowercase letters and digits, separated by `-`, `_` or `.`
    /project/takelage.yml:8:15: `https://registry.example/app` is no image reference: it must not begin with a protocol
    /project/takelage.yml:9:17: `debian bookworm` is no image reference: it contains white space
    /project/takelage.yml:10:16: there is no file or directory `bse.tar`, did you mean `base.tar`?
    /project/takelage.yml:11:31: `a b` is no release's name
    /project/takelage.yml:11:44: `ftp.example` is no mirror's address: it begins with `http://` or `https://`
    ");
}

#[test]
fn every_cycle_is_named_as_a_whole() {
    assert_snapshot!(problems("images:\n  x: {from: c}\n  c: {from: a}\n  b: {from: c}\n  a: {from: b}\n  s: {from: s}\n"), @r"
    /project/takelage.yml:3:13: images are based on one another in a circle: c → a → b → c
    /project/takelage.yml:6:13: images are based on one another in a circle: s → s
      if a registry's image is meant, say so with its tag: `s:latest`
    ");
}

#[test]
fn playbooks_layers_tags_and_paths() {
    assert_snapshot!(problems(r#"
images:
  a:
    from: debian
    playbook: ansible
    layers: [system]
    tags: [me/app:1, "me/app:1", "me/app@sha256:00", Me/app]
  b:
    from: debian
    layers: [system, systm, app, system, a/b]
    roles_path: [ansible/rols, ansible/app.yml]
    tests: test/app
    tags: [me/app:1]
    container: {volumes: [data, "data:rel", "./dat:/data", ":/x"], memory: lots}
    inventory: {links: {hosts: ansible/host, group_vars: requirements.yml}}
ansible: {requirements: requirement.yml, python: venv/bin/python, vault_password_file: ~/.vault}
"#), @r"
    /project/takelage.yml:5:15: `ansible` is a directory, but must be a file
    /project/takelage.yml:6:5: an image has a `playbook` or `layers`, not both
    /project/takelage.yml:7:22: tag `me/app:1` is here a second time, the first is at 7:12
    /project/takelage.yml:7:34: `me/app@sha256:00` cannot be a tag: an image cannot be given a digest
    /project/takelage.yml:7:54: `Me/app` is no image reference: the repository must be lowercase
    /project/takelage.yml:10:22: there is no file `ansible/playbook-systm.yml`, did you mean `ansible/playbook-system.yml`?
    /project/takelage.yml:10:34: layer `system` is here a second time, the first is at 10:14
    /project/takelage.yml:10:42: `a/b` is no layer's name: it becomes part of a file's name
    /project/takelage.yml:11:18: there is no directory `ansible/rols`, did you mean `ansible/roles`?
    /project/takelage.yml:11:32: `ansible/app.yml` is a file, but must be a directory
    /project/takelage.yml:12:12: there is no file or directory `test/app`, did you mean `tests/app`?
    /project/takelage.yml:13:12: tag `me/app:1` is here a second time, the first is at 7:12
    /project/takelage.yml:14:27: `data` is no volume
      write `SOURCE:TARGET` or `SOURCE:TARGET:ro` with an absolute target
    /project/takelage.yml:14:33: `data:rel` is no volume
      write `SOURCE:TARGET` or `SOURCE:TARGET:ro` with an absolute target
    /project/takelage.yml:14:45: there is no file or directory `./dat`
    /project/takelage.yml:14:60: `:/x` is no volume
      write `SOURCE:TARGET` or `SOURCE:TARGET:ro` with an absolute target
    /project/takelage.yml:14:76: `lots` is no size
      write it like `512MiB` or `20GB`
    /project/takelage.yml:15:32: there is no file or directory `ansible/host`, did you mean `ansible/hosts`?
    /project/takelage.yml:15:58: `requirements.yml` is a file, but must be a directory
    /project/takelage.yml:16:25: there is no file `requirement.yml`, did you mean `requirements.yml`?
    /project/takelage.yml:16:50: there is no file `venv/bin/python`
    /project/takelage.yml:16:88: there is no file `~/.vault`
      write `${HOME}` in place of `~`, which only shells know
    ");
}

#[test]
fn what_is_no_yaml() {
    assert_snapshot!(problems("images:\n  app: [1\n  b: 2\n"), @r"
    /project/takelage.yml:3:4: this is not valid YAML: illegal placement of ':' indicator
    ");
    assert_snapshot!(problems("images:\n\tapp: {}\n"), @r"
    /project/takelage.yml:2:2: this is not valid YAML: tabs disallowed within this context (block indentation)
    ");
    assert_snapshot!(problems("a: \"open\n"), @r"
    /project/takelage.yml:1:4: this is not valid YAML: while scanning a quoted scalar, found unexpected end of stream
    ");
    assert_snapshot!(problems("a: *nothing\n"), @r"
    /project/takelage.yml:1:4: this is not valid YAML: while parsing node, found unknown anchor
    ");
    assert_snapshot!(problems("a: 1\n---\nb: 2\n"), @r"
    /project/takelage.yml:2:1: a second document begins here, but a project file is one document
    ");
    assert_snapshot!(problems("[a, b]: c\n"), @r"
    /project/takelage.yml:1:1: a key must be a single word or string
    ");
    assert_snapshot!(problems("images: &x {app: *x}\n"), @r"
    /project/takelage.yml:1:18: this alias stands inside of what it refers to
    ");
    assert_snapshot!(problems("images: {app: {from: debian, extra_vars: {a: !vault x, b: .inf, <<: 5}}}\n"), @r"
    /project/takelage.yml:1:46: the tag `!vault` has no meaning here
    /project/takelage.yml:1:59: `.inf` is no finite number
    /project/takelage.yml:1:65: `<<` merges a map or a list of maps, nothing else
    ");
    assert_snapshot!(problems(""), @r"
    /project/takelage.yml:1:1: the file is empty
    ");
    assert_snapshot!(problems("# nothing\n"), @r"
    /project/takelage.yml:1:1: the file is empty
    ");
    assert_snapshot!(problems("images:\n"), @r"
    /project/takelage.yml:1:1: `images` must be a map, but has no value
      leave the key out, or check whether a variable in it is set
    ");
    assert_snapshot!(problems("images: {}\n"), @r"
    /project/takelage.yml:1:9: `images` must not be empty
    ");
    assert_snapshot!(problems("- images\n"), @r"
    /project/takelage.yml:1:1: the file must be a map, not a list
    ");
}

#[test]
fn the_position_is_that_of_the_file_as_written() {
    assert_snapshot!(problems("# ${\nimages: {app: {from: \"${X:-debian}\", tests: ${Y:-tests/nothing}, zzz: 1}}\n"), @r"
    /project/takelage.yml:2:45: there is no file or directory `tests/nothing`
    /project/takelage.yml:2:66: unknown key `zzz`
      known here are `from`, `bootstrap`, `playbook`, `layers`, `prepare`, `roles_path`, `extra_vars`, `inventory`, `container`, `tests`, `config`, `clean` and `tags`
    ");
    assert_snapshot!(problems("\u{feff}imäges: 1\r\nimages:\r\n  app:\r\n    fröm: 2\r\n"), @r"
    /project/takelage.yml:1:1: unknown key `imäges`, did you mean `images`?
    /project/takelage.yml:3:3: the image needs `from` or `bootstrap`, to say what it is based on
    /project/takelage.yml:4:5: unknown key `fröm`, did you mean `from`?
    ");
}

#[test]
fn a_placeholder_is_reported_once_and_hides_nothing_else() {
    assert_snapshot!(problems("images: {app: {from: ${X:?}}}\nname: [$5\n"), @r"
    /project/takelage.yml:1:22: invalid placeholder
      only `${NAME}`, `${NAME-default}` and `${NAME:-default}` are known; `$$` is a dollar sign
    /project/takelage.yml:2:8: invalid placeholder
      write `$$` for a dollar sign
    ");
    assert_snapshot!(problems("images: {app: {from: debian}}\nname: $(x)\nengine: ${}\nzzz: 1\n"), @r"
    /project/takelage.yml:2:7: invalid placeholder
      write `$$` for a dollar sign
    /project/takelage.yml:3:9: invalid placeholder
      write `${NAME}`, or `$$` for a dollar sign
    /project/takelage.yml:4:1: unknown key `zzz`
      known here are `name`, `engine`, `images`, `ansible`, `pytest` and `cache`
    ");
}

#[test]
fn aliases_and_nesting_are_bounded() {
    let level = |level: usize, alias: &str| format!("a{level}: &a{level} [{}]\n", [alias; 10].join(", "));
    let bomb: String = (1..10).map(|index| level(index, &format!("*a{}", index - 1))).collect();
    let bomb = level(0, "x") + &bomb;
    assert_snapshot!(problems(&bomb), @r"
    /project/takelage.yml:1:1: the file holds more than 100000 values, aliases unfolded
    ");
    let level = |level: usize| format!("m{level}: &m{level} {{<<: [*m{0}, *m{0}]}}\n", level - 1);
    let merges: String = std::iter::once("m0: &m0 {x: 1}\n".to_owned()).chain((1..60).map(level)).collect();
    assert_snapshot!(problems(&merges), @r"
    /project/takelage.yml:1:1: the file holds more than 100000 values, aliases unfolded
    ");
    assert_snapshot!(problems(&"[".repeat(10_000)), @r"
    /project/takelage.yml:1:256: this is not valid YAML: recursion limit exceeded
    ");
    assert_snapshot!(problems(&"- ".repeat(10_000)), @r"
    /project/takelage.yml:1:129: this is nested more than 64 levels deep
    ");
    assert_snapshot!(problems(&" ".repeat(2 << 20)), @r"
    /project/takelage.yml:1:1: the file is longer than 1 MiB
    ");
}

#[test]
fn what_is_cleaned_is_known_or_a_path() {
    assert_snapshot!(problems(
        r#"
images:
  a:
    from: debian
    clean: [caches, cache, /srv/*.o, /, "/opt/../etc", relative/path]
"#
    ), @r"
    /project/takelage.yml:5:21: `cache` is nothing that can be cleaned, did you mean `caches`?
      known here are `caches`, `logs`, `identity`, `bytecode`, `temporary`, `backups` and absolute paths
    /project/takelage.yml:5:38: `/` cannot be cleaned: it names no path, or has a component `..`
    /project/takelage.yml:5:41: `/opt/../etc` cannot be cleaned: it names no path, or has a component `..`
    /project/takelage.yml:5:56: `relative/path` is nothing that can be cleaned
      known here are `caches`, `logs`, `identity`, `bytecode`, `temporary`, `backups` and absolute paths
    ");
}
