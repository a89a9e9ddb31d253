//! `config:`.

use super::Assembly;
use crate::{
    Config, Healthcheck,
    document::{self, Command},
    position::join,
};

impl Assembly<'_> {
    pub(super) fn config(&mut self, config: document::Config, at: &str) -> Config {
        let of = |key: &str| join(at, key);
        if let Some(path) = config.workdir.as_ref().filter(|path| !path.starts_with('/')) {
            self.fault(&of("workdir"), format!("working directory `{path}` must be an absolute path"));
        }
        for (index, path) in config.volumes.iter().enumerate().filter(|(_, path)| !path.starts_with('/')) {
            let message = format!("mount point `{path}` must be an absolute path");
            self.fault(&join(&of("volumes"), &index.to_string()), message);
        }
        let expose = config.expose.iter().enumerate();
        let expose = expose.filter_map(|(index, port)| {
            let pointer = join(&of("expose"), &index.to_string());
            let text = self.text(port, &pointer);
            let port = port_of(&text);
            if port.is_none() {
                self.fault(&pointer, format!("`{text}` is no port: write `80` or `53/udp`"));
            }
            port
        });
        Config {
            expose: expose.collect(),
            entrypoint: config.entrypoint.map(shell_form),
            cmd: config.cmd.map(shell_form),
            user: config.user.map(|user| self.text(&user, &of("user"))),
            workdir: config.workdir,
            env: self.texts(config.env, &of("env")),
            labels: self.texts(config.labels, &of("labels")),
            volumes: config.volumes,
            stop_signal: config.stop_signal.map(|signal| self.text(&signal, &of("stop_signal"))),
            healthcheck: config.healthcheck.map(|check| self.healthcheck(check, &of("healthcheck"))),
        }
    }

    fn healthcheck(&mut self, check: document::Healthcheck, at: &str) -> Healthcheck {
        let retries_at = join(at, "retries");
        let retries = check.retries.map(|retries| self.text(&retries, &retries_at)).and_then(|text| {
            let retries = text.parse().ok();
            if retries.is_none() {
                self.fault(&retries_at, format!("`{text}` is no number of retries"));
            }
            retries
        });
        let mut duration =
            |text: Option<String>, key: &str| text.and_then(|text| self.duration(&text, &join(at, key)));
        Healthcheck {
            interval: duration(check.interval, "interval"),
            timeout: duration(check.timeout, "timeout"),
            start_period: duration(check.start_period, "start_period"),
            retries,
            test: match check.test {
                Command::Line(line) => vec!["CMD-SHELL".to_owned(), line],
                Command::Words(words)
                    if matches!(words.first().map(String::as_str), Some("CMD" | "CMD-SHELL" | "NONE")) =>
                {
                    words
                }
                Command::Words(words) => std::iter::once("CMD".to_owned()).chain(words).collect(),
            },
        }
    }
}

/// A line runs in a shell, as `ENTRYPOINT` and `CMD` of a Dockerfile have it.
fn shell_form(command: Command) -> Vec<String> {
    match command {
        Command::Words(words) => words,
        Command::Line(line) => vec!["/bin/sh".to_owned(), "-c".to_owned(), line],
    }
}

/// Reads `PORT[-PORT][/tcp|udp|sctp]`; the protocol is `tcp` if none is given.
fn port_of(text: &str) -> Option<String> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let number = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let valid = number(first) && number(last) && matches!(protocol, "tcp" | "udp" | "sctp");
    valid.then(|| format!("{ports}/{protocol}"))
}
