//! All reports together.

use std::io::{self, Write};

use takelage_report::{JsonLines, Junit, ReportError, Reporters, Style, Terminal};

use crate::streams::{self, Paper};

/// A disk that is full after so many bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_report_that_cannot_be_written_warns_and_leaves_the_others_alone() {
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(directory.path().join("file"), "").unwrap();
    let paper = Paper::default();
    let mut reporters = Reporters::new()
        .terminal(Terminal::new(Style::default(), Box::new(paper.clone())))
        .events(JsonLines::new(Box::new(Full(1000))))
        .junit(Junit::new(directory.path().join("file/report.xml")));
    for event in streams::produced() {
        reporters.handle(&event);
    }
    let errors = reporters.finish();
    assert!(matches!(errors[..], [ReportError::Events(_), ReportError::Junit(_)]), "{errors:?}");
    let text = paper.text();
    assert!(text.contains("\nharbour: produce done in "), "{text}");
    assert!(text.contains("\nwarning: cannot write the event log: "), "{text}");
    assert!(text.contains("\nwarning: cannot write the JUnit report: "), "{text}");
}

#[test]
fn a_terminal_that_is_gone_leaves_the_log_whole() {
    let paper = Paper::default();
    let mut reporters = Reporters::new()
        .terminal(Terminal::new(Style::default(), Box::new(Full(10))))
        .events(JsonLines::new(Box::new(paper.clone())));
    for event in streams::produced() {
        reporters.handle(&event);
    }
    assert!(matches!(reporters.finish()[..], [ReportError::Terminal(_)]));
    assert_eq!(paper.text().lines().count(), streams::produced().len());
}
