//! The language, run: pipelines, loops, functions, substitution. Programs are played; there are no files.

use crate::world::World;

/// Runs commands as those of the kernel's command line: what they write, and their status.
fn run(commands: &str) -> (String, u8) {
    crate::exec(Box::leak(commands.to_string().into_boxed_str()))
}

/// Checks what commands write, and that they end with success.
fn check(commands: &str, expected: &str) {
    assert_eq!(run(commands), (expected.to_string(), 0), "{commands}");
}

#[test]
fn pipelines_of_programs_and_builtins() {
    check("echo a b | cat | count", "4\n");
    check("seq 3 | while read x; do echo \"<$x>\"; done", "<1>\n<2>\n<3>\n");
    check("for x in 1 2 3; do echo $x; done | cat", "1\n2\n3\n");
    check("export A=b; export | cat", "A=b\n");
    check("{ echo a; export C=d; export; } | count", "6\n");
    check("for x in 1 2; do echo $x; done | while read x; do echo =$x; done | cat", "=1\n=2\n");
    check("seq 2 | while read x; do echo $x; done | while read y; do echo .$y; done", ".1\n.2\n");
    check("echo a | true; echo $?; true | false; echo $?; false | true", "0\n1\n");
    check("! false | true || echo no", "no\n");
    check("complain x 2>&1 | cat; complain y | count", "x\ny\n0\n");
    check("A=1; echo x | read A; echo $A", "1\n");
    let (text, status) = run("nothing | cat; echo $?; echo a | nothing");
    assert!(text.starts_with("nothing: there is no command") && text.contains("\n0\n"), "{text}");
    assert_eq!(status, 127);
}

#[test]
fn much_goes_through_pipes() {
    check("seq 30000 | cat | count", "168894\n");
    check("seq 30000 | sh -c 'while read x; do :; done; echo $x.'", ".\n");
    check("help | cat | true", "");
    check("A=$(seq 10000); echo \"$A\" | count", "48894\n");
}

#[test]
fn who_reads_no_more_ends_who_writes() {
    check("yes | true; echo $?", "0\n");
    check("yes | { read a; read b; echo $a$b; }", "yy\n");
    check("while :; do echo x; done | true; echo done", "done\n");
    check("while :; do export; help; done | true; echo done", "done\n");
}

#[test]
fn conditions_and_loops() {
    check("if true; then echo a; else echo b; fi; if false; then echo c; elif true; then echo d; fi", "a\nd\n");
    check("i=0; while [ $i -lt 200 ]; do i=$((i + 1)); done; echo $i", "200\n");
    check("i=0; until [ $i = 3 ]; do i=$((i+1)); if [ $i = 2 ]; then continue; fi; echo $i; done", "1\n3\n");
    check("for x in a b c; do for y in 1 2; do if [ $x = b ]; then break 2; fi; echo $x$y; done; done", "a1\na2\n");
    check("for x in; do echo never; done; echo $?", "0\n");
    check("case abc in b*) echo b;; a?c|x) echo a;; *) echo other;; esac", "a\n");
    check("case '*' in '?') echo q;; \\*) echo star;; esac", "star\n");
}

#[test]
fn variables_functions_and_subshells() {
    check("A=1; (A=2; echo $A); echo $A", "2\n1\n");
    check("A=1; { A=2; }; echo $A; unset A; echo \"<$A>\"", "2\n<>\n");
    check("f() { echo $# \"$1\" $2; A=x; return 3; }; f 'a b' c; echo $? $A", "2 a b c\n3 x\n");
    check("set -- a b c; echo $#; shift 2; echo \"$@\"", "3\nc\n");
    check("echo $(echo a; echo b) \"$(echo '  c')\"", "a b   c\n");
    check("A=$(false); echo $?; A=$(exit 7) || echo $?", "1\n7\n");
    check("echo \"$(echo $(echo deep))\"", "deep\n");
    check("A=b export; B=1 true; echo \"<$B>\"", "A=b\n<>\n");
    check("echo 'a  b c' | { read x y; echo \"$y\"; }", "b c\n");
    let (text, status) = run("f() { f; }; f");
    assert_eq!((text.as_str(), status), ("shell: too many commands within each other\n", 1));
}

#[test]
fn scripts_end_as_they_are_told() {
    assert_eq!(run("echo a; exit 3; echo b"), ("a\n".into(), 3));
    assert_eq!(run("(exit 4); echo $?; exit 0"), ("4\n".into(), 0));
    assert_eq!(run("set -e; false || true; if false; then :; fi; ! true; echo a; false; echo b"), ("a\n".into(), 1));
    assert_eq!(run("sh -c 'echo $0 $1; exit 5' name x; echo $?"), ("name x\n5\n".into(), 0));
    assert_eq!(run("set -x; A='b c' true \"$?\""), ("+ A=b c true 0\n".into(), 0));
    assert_eq!(
        run("sh -c 'echo a\nnothing' file"),
        ("a\nfile:2: nothing: there is no command or program of this name: `help` lists them\n".into(), 127)
    );
    assert_eq!(
        run("sh -c 'echo a\nif true' file; echo $?"),
        ("file:2: `if` in column 1 lacks its `then`\n2\n".into(), 0)
    );
    assert_eq!(run("break"), ("break: there is no loop\n".into(), 1));
    assert_eq!(run("true && { return; }").1, 1);
    assert_eq!(run("echo $((1/0))"), ("shell: division by zero\n".into(), 1));
    assert_eq!(run("[ 1 = 1"), ("[: its `]` is missing\nusage: [ EXPRESSION\n".into(), 2));
    assert_eq!(run("if"), ("shell: `if` in column 1 lacks its `then`\n".into(), 2));
}

#[test]
fn control_c_ends_loops_and_pipelines() {
    let mut world = World::interact();
    for line in ["while true; do true; done", "forever | forever | cat", "forever | while read x; do :; done"] {
        let before = world.stage.lock().unwrap().launches.len();
        world.type_keys(&format!("{line}; echo never\r"));
        while world.stage.lock().unwrap().launches.len() == before {}
        world.type_keys("\x03");
        assert!(world.expect("skink> ").ends_with("^C\nskink> "), "{line}");
        assert_eq!(world.run("echo $?"), "130\n", "{line}");
    }
    world.type_keys("echo go; while :; do :; done\r");
    world.expect("\ngo\n");
    world.type_keys("\x03");
    world.expect("^C\nskink> ");
}

#[test]
fn a_person_answers_and_sets_jobs_going() {
    let mut world = World::interact();
    world.type_keys("read a b; echo \"$b-$a\"\r");
    world.expect("\n");
    world.type_keys("one two\r");
    assert!(world.expect("skink> ").contains("two-one\n"));
    assert_eq!(world.run("echo hidden | count"), "7\n");
    assert_eq!(world.run("exit"), "`exit` ends nothing here: `poweroff` does\n");
    let said = world.run("echo a | count & wait");
    assert!(said.contains("[1] ") && said.contains("2\n") && said.contains("echo a | count: done"), "{said}");
}
