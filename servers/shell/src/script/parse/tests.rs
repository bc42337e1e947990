//! What texts are read as.

use super::super::{Parameter, Part, Word};
use super::*;
use alloc::format;
use proptest::prelude::*;

fn word(word: &Word) -> String {
    let parts = word.parts.iter().map(|part| match part {
        Part::Text(text, _) => text.clone(),
        Part::Parameter(Parameter::Variable(name), _) => format!("${{{name}}}"),
        Part::Parameter(parameter, _) => format!("${{{parameter:?}}}"),
        Part::Output(script, _) => format!("$({})", show(script)),
        Part::Arithmetic(text, _) => format!("$(({text}))"),
        Part::Default(parameter, default, _) => format!("${{{parameter:?}:-{}}}", self::word(default)),
    });
    format!("[{}]", parts.collect::<String>())
}

fn words(words: &[Word]) -> String {
    words.iter().map(word).collect()
}

fn show(script: &Script) -> String {
    let mut said = String::new();
    for statement in &script.statements {
        for (condition, pipeline) in &statement.pipelines {
            said.push_str(match condition {
                Condition::Always => "",
                Condition::Success => " && ",
                Condition::Failure => " || ",
            });
            said.push_str(if pipeline.is_negated { "!" } else { "" });
            said.push_str(&pipeline.stages.iter().map(command).collect::<Vec<_>>().join("|"));
        }
        said.push(if statement.background { '&' } else { ';' });
    }
    said
}

fn command(command: &Command) -> String {
    let mut said = match &command.action {
        Action::Simple { assignments, words: all } => {
            let values = assignments.iter().map(|(name, value)| format!("{name}={}", word(value)));
            values.collect::<String>() + &words(all)
        }
        Action::Group(script) => format!("{{{}}}", show(script)),
        Action::Subshell(script) => format!("({})", show(script)),
        Action::If { branches, otherwise } => {
            let all = branches.iter().map(|(condition, body)| format!("if {} then {}", show(condition), show(body)));
            let otherwise = otherwise.as_ref().map_or(String::new(), |script| format!(" else {}", show(script)));
            all.collect::<Vec<_>>().join(" el") + &otherwise
        }
        Action::Loop { until, condition, body } => {
            format!("{} {} do {}", if *until { "until" } else { "while" }, show(condition), show(body))
        }
        Action::For { name, words: all, body } => {
            format!("for {name} in {} do {}", all.as_ref().map_or("-".into(), |all| words(all)), show(body))
        }
        Action::Case { word: what, arms } => {
            let arms = arms.iter().map(|(patterns, body)| format!(" {}) {}", words(patterns), show(body)));
            format!("case {}{}", word(what), arms.collect::<String>())
        }
        Action::Function { name, body } => format!("{name}() {}", self::command(body)),
    };
    for Redirection { stream, kind } in &command.redirections {
        said += &match kind {
            RedirectionKind::Read(file) => format!(" {stream}<{}", word(file)),
            RedirectionKind::Write(file) => format!(" {stream}>{}", word(file)),
            RedirectionKind::Append(file) => format!(" {stream}>>{}", word(file)),
            RedirectionKind::Same(other) => format!(" {stream}>&{other}"),
        };
    }
    said
}

fn read(text: &str) -> String {
    match parse(text) {
        Ok(script) => show(&script),
        Err(error) => format!("{}: {error}", error.line),
    }
}

#[test]
fn words_and_quotes() {
    assert_eq!(read("echo  a b\tc"), "[echo][a][b][c];");
    assert_eq!(read(r#"a'b c'"d e"\ f"#), "[ab cd e f];");
    assert_eq!(read(r#"'' "" x"#), "[][][x];");
    assert_eq!(read(r#""\"\\\$\n" '\n'"#), r#"["\$\n][\n];"#);
    assert_eq!(read("é ’ ß"), "[é][’][ß];");
    assert_eq!(read("a # b; c\nd"), "[a];[d];");
    assert_eq!(read("a#b a\\\nb"), "[a#b][ab];");
    assert_eq!(read("#!/bin/sh\nA=1 B= c d=e"), "A=[1]B=[][c][d=e];");
}

#[test]
fn what_dollars_mean() {
    assert_eq!(read("a${x}b $y $ a$ \"$x\""), "[a${x}b][${y}][$][a$][${x}];");
    assert_eq!(read("$? $1 ${10}"), "[${Status}][${Position(1)}][${Position(10)}];");
    assert_eq!(read("x=$(a b | c) \"$(d \"e\")\""), "x=[$([a][b]|[c];)][$([d][e];)];");
    assert_eq!(read("$((1+(2)))"), "[$((1+(2)))];");
    assert_eq!(read("a ${x"), "1: `${` in column 3 lacks a name and `}`");
    assert_eq!(read("${1:-a $y}b"), "[${Position(1):-[a ${y}]}b];");
    assert_eq!(read("a ${x:-b"), "1: `${` in column 3 lacks a name and `}`");
    assert_eq!(read("\"${x:-b\""), "1: the } in column 2 is not closed");
    assert_eq!(read("${x:=b}"), "1: `${` in column 1 lacks a name and `}`");
}

#[test]
fn lists_and_pipelines() {
    assert_eq!(read("a;b ; c"), "[a];[b];[c];");
    assert_eq!(read("a && b||c; d&"), "[a] && [b] || [c];[d]&");
    assert_eq!(read("a|b |\n c & ! d | e"), "[a]|[b]|[c]&![d]|[e];");
    assert_eq!(read("a &&\n\n b"), "[a] && [b];");
    assert_eq!(read("\n\n a;\n\nb\n"), "[a];[b];");
    assert_eq!(read("  # nothing"), "");
    assert_eq!(read("a <b >c 2>>d 2>&1 >&2"), "[a] 0<[b] 1>[c] 2>>[d] 2>&1 1>&2;");
    assert_eq!(read("> 'a b'; a 3"), " 1>[a b];[a][3];");
}

#[test]
fn compound_commands() {
    assert_eq!(
        read("if a; then b; elif c\nthen d; else e; fi >f"),
        "if [a]; then [b]; elif [c]; then [d]; else [e]; 1>[f];"
    );
    assert_eq!(read("while a; do b; done | c"), "while [a]; do [b];|[c];");
    assert_eq!(read("until a\ndo\nb\ndone"), "until [a]; do [b];;");
    assert_eq!(read("for x in a b; do c; done"), "for x in [a][b] do [c];;");
    assert_eq!(read("for x\ndo c; done"), "for x in - do [c];;");
    assert_eq!(read("{ a; b; } && ( c;d )"), "{[a];[b];} && ([c];[d];);");
    assert_eq!(read("f() { a; }\nf b"), "f() {[a];};[f][b];");
    assert_eq!(read("case $x in a|b) c;; *) d;; esac"), "case [${x}] [a][b]) [c]; [*]) [d];;");
    assert_eq!(read("echo if then fi done"), "[echo][if][then][fi][done];");
}

#[test]
fn errors_say_where() {
    for (text, said) in [
        ("echo 'a", "1: the ' in column 6 is not closed"),
        ("\n é \"a", "2: the \" in column 4 is not closed"),
        ("a && ; b", "1: no command before `;` in column 6"),
        ("a &&", "1: no command after `&&` in column 3"),
        ("|| a", "1: no command before `||` in column 1"),
        ("a ;; b", "1: no command before `;` in column 4"),
        ("a | | b", "1: no command before `|` in column 5"),
        ("a |", "1: no command after `|` in column 3"),
        ("a >", "1: the redirection in column 3 lacks a file; streams are 0, 1 and 2"),
        ("a 2>&7", "1: the redirection in column 3 lacks a file; streams are 0, 1 and 2"),
        ("a 12>f", "1: the redirection in column 3 lacks a file; streams are 0, 1 and 2"),
        ("a 0>f", "1: the redirection in column 3 lacks a file; streams are 0, 1 and 2"),
        ("a << b", "1: the redirection in column 3 lacks a file; streams are 0, 1 and 2"),
        ("a && b &", "1: `&` in column 8: only a single pipeline goes to the background"),
        ("a\\", "1: the line ends with a backslash: there is nothing that it could quote"),
        ("if a; then b", "1: `if` in column 1 lacks its `fi`"),
        ("if a; b; fi", "1: unexpected `fi` in column 10"),
        ("if a; b", "1: `if` in column 1 lacks its `then`"),
        ("a\nwhile b; do c", "2: `while` in column 1 lacks its `done`"),
        ("while a; do done", "1: no command before `done` in column 13"),
        ("done", "1: unexpected `done` in column 1"),
        ("a )", "1: unexpected `)` in column 3"),
        ("( a", "1: `(` in column 1 lacks its `)`"),
        ("echo $(a", "1: `$(` in column 6 lacks its `)`"),
        ("for 1 in a; do b; done", "1: `for` in column 1 lacks its `NAME`"),
        ("case a in b", "1: `case` in column 1 lacks its `)`"),
        ("case a in ) b;; esac", "1: unexpected `)` in column 11"),
        ("case a in b|", "1: unexpected `its end` in column 13"),
    ] {
        assert_eq!(read(text), said, "{text}");
    }
    for opening in ["( ", "$(", "{ ", "if a; then ", "f() ", "\"$(", "${x:-", "\"${x:-"] {
        let deep = opening.repeat(10_000);
        assert!(read(&deep).contains("too many commands within commands"), "{opening}");
    }
}

#[test]
fn long_texts_are_read_or_refused() {
    let lines = "a b\n".repeat(5_000);
    assert_eq!(parse(&lines).map(|script| script.statements.len()), Ok(5_000));
    assert_eq!(parse(&(lines + "'")).map_err(|error| (error.line, error.column)).err(), Some((5_001, 1)));
    assert!(read(&"a b\n".repeat(6_000)).contains("the text is too long"));
}

proptest! {
    #[test]
    fn anything_is_read_or_refused(text in "(\\PC|[ \n'\"$\\\\&|;{}()<>?#!=*]|if |then |fi|while |do |done|for x in |case |esac)*") {
        match parse(&text) {
            Ok(script) => for statement in script.statements {
                prop_assert!(!statement.pipelines.is_empty());
                prop_assert!(statement.pipelines.iter().all(|(_, pipeline)| !pipeline.stages.is_empty()));
            },
            Err(error) => prop_assert!(error.line as usize <= text.matches('\n').count() + 1 && error.column > 0),
        }
    }

    #[test]
    fn quoted_text_comes_back(texts in proptest::collection::vec("\\PC*", 1..5)) {
        let line: Vec<String> = texts.iter().map(|text| format!("'{}'", text.replace('\'', "'\\''"))).collect();
        let all: Vec<String> = texts.iter().map(|text| format!("[{text}]")).collect();
        prop_assert_eq!(read(&line.join(" ")), all.concat() + ";");
    }
}
