//! The file commands on a machine: good and bad arguments, on files, directories, links, devices and a disk. What they do with data is tested beside their code.

use std::time::Duration;

use anyhow::{Result, ensure};
use images::Machine;
use tests::{DiskImage, Layout, PROMPT, Shell, exec, on_each_board};

const LONG: Duration = Duration::from_secs(60);

on_each_board! {
    every_command_is_there_and_helps
    names_are_made_moved_and_removed
    files_are_not_lost_to_other_names_of_theirs
    paths_mean_what_their_ends_say
    files_of_two_disks_are_not_taken_for_one
    very_many_names_are_listed_and_found
    files_are_listed_and_found
    programs_are_run_on_what_is_found
    what_is_replaced_and_removed_is_asked_about
    files_are_followed
    data_is_copied_shown_and_sorted
    a_text_is_edited_on_the_screen
}

/// A command, its status, and what it prints.
type Case<'a> = (&'a str, u8, &'a [&'a str]);

/// Checks commands one after the other, and tells of all that are wrong.
fn check_all(shell: &mut Shell, cases: &[Case<'_>]) -> Result<()> {
    let mut wrong = Vec::new();
    for (command, status, texts) in cases {
        if let Err(error) = shell.check(command, *status, texts) {
            wrong.push(format!("{error:#}"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Runs a command that reads `lines`, typed, to their end; returns what it prints, with the echo.
fn typed(shell: &mut Shell, command: &str, lines: &str) -> Result<String> {
    shell.session().type_line(command);
    shell.session().send(lines.replace('\n', "\r").as_bytes());
    shell.session().send(b"\x04");
    Ok(shell.session().expect(PROMPT, LONG)?.replace("\r\n", "\n"))
}

fn every_command_is_there_and_helps(machine: Machine) -> Result<()> {
    let names = exec(&machine, "tools")?;
    let wanted = "ls cat cp mv rm mkdir rmdir ln touch stat find grep wc head tail hexdump sha256sum dd df du mount umount sync lsblk lspci tree edit";
    for name in wanted.split(' ') {
        ensure!(names.lines().any(|line| line == name), "{name} is missing:\n{names}");
    }
    let mut shell = Shell::boot(&machine)?;
    for name in names.lines().filter(|name| *name != "false") {
        shell.check(&format!("{name} --help"), 0, &[&format!("usage: {name}")])?;
    }
    check_all(
        &mut shell,
        &[
            ("false --help", 1, &["usage: false"]),
            ("/bin/echo by its path", 0, &["by its path\n"]),
            ("tools echo by name", 0, &["by name\n"]),
            ("tools cat /none", 1, &["cat: /none: no such file"]),
            ("tools nothing", 2, &["tools: there is no command `nothing`", "usage: tools"]),
            ("tools --help", 0, &["usage: tools"]),
            ("cp /bin/true /tmp/any && /tmp/any echo under another name", 0, &["under another name\n"]),
            ("stat /bin/ls", 0, &["regular file"]),
        ],
    )?;
    // One file with many names.
    let listed = shell.run("ls -i1 /bin/ls /bin/cat /bin/uart")?;
    let numbers: Vec<&str> = listed.lines().filter_map(|line| line.trim().split(' ').next()).collect();
    ensure!(numbers.len() == 3 && numbers[0] == numbers[1] && numbers[1] != numbers[2], "{listed}");
    Ok(())
}

fn names_are_made_moved_and_removed(machine: Machine) -> Result<()> {
    let mut shell = Shell::boot(&machine)?;
    typed(&mut shell, "tee /tmp/text", "one\ntwo\nthree\n")?;
    check_all(
        &mut shell,
        &[
            ("cat /tmp/text", 0, &["one\ntwo\nthree\n"]),
            (
                "cat -n /tmp/text /bin /tmp/none",
                1,
                &["     3\tthree\n", "cat: /bin: is a directory", "cat: /tmp/none: no such file"],
            ),
            ("cat -q", 2, &["cat: there is no option -q", "usage: cat"]),
            ("cat /dev/null", 0, &[]),
            ("mkdir /tmp/a /tmp/a", 1, &["mkdir: /tmp/a: it exists already"]),
            ("mkdir -pv /tmp/a/b/c", 0, &["created directory '/tmp/a/b/c'"]),
            ("mkdir -m 700 /tmp/m && mkdir -pm 755 /tmp/m && stat /tmp/m", 0, &["(0700/drwx------)"]),
            ("mkdir -m 9 /tmp/n", 2, &["`9` is not a mode"]),
            ("mkdir", 2, &["an operand is missing"]),
            ("mkdir /tmp/none/x", 1, &["no such file"]),
            ("cp -v /tmp/text /tmp/a", 0, &["'/tmp/text' -> '/tmp/a/text'"]),
            ("cp /tmp/text /tmp/text", 1, &["is the same file"]),
            ("cat /tmp/text", 0, &["three"]),
            ("cp /tmp/a /tmp/z", 1, &["-r copies directories"]),
            ("cp -r /tmp/a /tmp/a/b", 1, &["cannot be copied into itself"]),
            ("mv /tmp/a /tmp/a/b", 1, &["mv: /tmp/a: it cannot be moved into itself, /tmp/a/b"]),
            ("cp /tmp/none /tmp/text /tmp/a/b", 1, &["cp: /tmp/none: no such file"]),
            ("cp /tmp/text /tmp/a /tmp/text", 1, &["cp: /tmp/text: not a directory"]),
            ("cp /tmp/text", 2, &["a target behind `/tmp/text` is missing"]),
            ("ln -s text /tmp/link && cat /tmp/link", 0, &["three"]),
            ("ln /tmp/text /tmp/hard && stat /tmp/hard", 0, &["Links: 2", "regular file", "(0644/-rw-r--r--)"]),
            ("ln /tmp/a /tmp/b", 1, &["is a directory"]),
            ("ln -s x /tmp/link", 1, &["it exists already"]),
            ("ln -sf gone /tmp/link && stat /tmp/link", 0, &["/tmp/link -> gone", "symbolic link"]),
            ("stat -L /tmp/link", 1, &["stat: /tmp/link: no such file"]),
            ("stat -f /tmp", 0, &["Block size", "writable"]),
            (
                "cp -rp /tmp/a /tmp/copy && ls -R1 /tmp/copy",
                0,
                &["/tmp/copy:\nb\ntext\n\n/tmp/copy/b:\nc\ntext\n\n/tmp/copy/b/c:\n"],
            ),
            ("mv -v /tmp/copy /tmp/moved && ls -d /tmp/moved/", 0, &["renamed '/tmp/copy' -> '/tmp/moved'"]),
            ("mv /tmp/copy /tmp/x", 1, &["mv: /tmp/copy"]),
            ("mv -n /tmp/text /tmp/hard && cat /tmp/text", 0, &["three"]),
            ("touch /tmp/new && wc -c /tmp/new", 0, &["0 /tmp/new"]),
            ("touch -c /tmp/never && ls /tmp/never", 1, &["ls: /tmp/never: no such file"]),
            ("touch -r /tmp/text /tmp/new && find /tmp/new -newer /tmp/text", 0, &[]),
            ("touch /tmp/none/x", 1, &["touch: /tmp/none/x"]),
            ("rmdir /tmp/a", 1, &["rmdir: /tmp/a: the directory is not empty"]),
            ("rmdir /tmp/a/b/c && ls /tmp/a/b", 0, &["text\n"]),
            ("rm /tmp/a", 1, &["rm: /tmp/a: is a directory"]),
            ("rm /tmp/none /tmp/hard", 1, &["rm: /tmp/none: no such file"]),
            ("ls /tmp/hard", 1, &["no such file"]),
            ("rm -f /tmp/none", 0, &[]),
            ("rm", 2, &["an operand is missing"]),
            ("rm -rf / .", 1, &["rm: /: it is not removed"]),
            ("rm -rv /tmp/a", 0, &["removed '/tmp/a/text'", "removed directory '/tmp/a'"]),
            ("rm /bin/cat", 1, &["rm: /bin/cat: read-only"]),
            ("sync && sync /tmp/text && sync -f /tmp", 0, &[]),
            ("sync /tmp/none", 1, &["sync: /tmp/none"]),
        ],
    )
}

fn files_are_not_lost_to_other_names_of_theirs(machine: Machine) -> Result<()> {
    let mut shell = Shell::boot(&machine)?;
    check_all(
        &mut shell,
        &[
            // The same file, somewhere below what is copied: by one more name, by a link, through another mount.
            ("cd /tmp && mkdir -p a b/a && echo data > a/x && ln a/x b/a/x", 0, &[]),
            ("cp -r a b", 1, &["cp: a/x: b/a/x is the same file"]),
            ("cat a/x", 0, &["data\n"]),
            ("cp -a a b; cat a/x", 0, &["is the same file", "data\n"]),
            ("rm b/a/x && ln -s ../../a/x b/a/x && cp -r a b", 1, &["is the same file"]),
            ("cp a/x b/a/x", 1, &["is the same file"]),
            ("cat a/x", 0, &["data\n"]),
            ("mkdir again && mount -t bind /tmp/a /tmp/again && cp a/x again/x", 1, &["is the same file"]),
            ("mv a/x again", 1, &["is the same file"]),
            ("cp -r a/. again", 1, &[]),
            ("cat a/x && umount /tmp/again", 0, &["data\n"]),
            // A link on the way leads out of the copy.
            (
                "mkdir -p c/d d/c other && echo new > c/d/y && ln -s ../../other d/c/d && cp -r c d",
                1,
                &["it exists already"],
            ),
            ("ls other && cat c/d/y", 0, &["new\n"]),
            // Links are replaced when the new ones are made.
            ("echo keep > k && ln -f /nothing k", 1, &["ln: /nothing: no such file"]),
            ("ln -f a k", 1, &["is a directory"]),
            ("ln -f /bin/ls k", 1, &["different file systems"]),
            ("cat k", 0, &["keep\n"]),
            ("ln -f a/x k && cat k && stat k", 0, &["data\n", "Links: 2"]),
            ("ln -f a/x k && stat k", 0, &["Links: 2"]),
            ("ln -f k k", 1, &["it is the same file"]),
            ("ln -sf a/x k && cat k && ls -A /tmp", 0, &["data\n"]),
            // Of two names of one file the first goes.
            ("echo two > h1 && ln h1 h2 && mv h1 h2 && stat h2", 0, &["Links: 1"]),
            ("ls h1", 1, &["no such file"]),
            ("mv h2 ./h2", 1, &["is the same file"]),
            ("ln h2 h1 && mv -n h1 h2 && cat h1 h2", 0, &["two\ntwo\n"]),
        ],
    )?;
    let names = shell.run("ls -A /tmp")?;
    ensure!(!names.contains(".ln-"), "{names}");
    Ok(())
}

fn paths_mean_what_their_ends_say(machine: Machine) -> Result<()> {
    let mut shell = Shell::boot(&machine)?;
    check_all(
        &mut shell,
        &[
            ("cd /tmp && mkdir -p dir/sub && echo text > file && echo in > dir/in && ln -s dir link", 0, &[]),
            ("rm -r dir/.", 1, &["rm: dir/.: it is not removed"]),
            ("rm -rf dir/sub/..", 1, &["rm: dir/sub/..: it is not removed"]),
            ("rm -r ./ .. /", 1, &["rm: ./: it is not removed", "rm: ..: it is", "rm: /: it is"]),
            ("rm file/", 1, &["rm: file/: not a directory"]),
            ("rm -r link/", 1, &["rm: link/: not a directory"]),
            ("rm link/", 1, &["rm: link/: not a directory"]),
            ("rmdir link/", 1, &["rmdir: link/: "]),
            ("mv file file/", 1, &["not a directory"]),
            ("mv file new/", 1, &["not a directory"]),
            ("mv link/ other", 1, &["not a directory"]),
            ("mv dir/. other", 1, &["it is in use"]),
            ("touch new/", 1, &["touch: new/: no such file or directory"]),
            ("touch file/", 1, &["touch: file/: not a directory"]),
            ("cp file new/", 1, &["cp: new/: no such file or directory"]),
            ("cp file file/", 1, &["not a directory"]),
            ("cat file link/in && ls -d dir/sub", 0, &["text\nin\n", "dir/sub\n"]),
            ("mv file ''", 1, &["no such file or directory"]),
            ("rm ''", 1, &["no such file or directory"]),
            ("rm -f ''", 0, &[]),
            // A directory's content is named by a dot.
            (
                "rmdir dir/. dir/.. .",
                1,
                &["rmdir: dir/.: it is not removed", "rmdir: dir/..: it is", "rmdir: .: it is"],
            ),
            (
                "cp -r dir/. fresh && cp -r dir/. fresh && cp -r dir/./sub fresh/one && ls -A fresh",
                0,
                &["in  one  sub\n"],
            ),
            ("mkdir there && cp -r dir/. there/ && ls -A there", 0, &["in  sub\n"]),
            (
                "(cd dir && cp -r . ../there/again && cp -r . .. && ls ../in && rm ../in && rmdir ../sub)",
                0,
                &["../in\n"],
            ),
            ("cp -r dir/. dir", 1, &["cp: dir/.: dir is the same file"]),
            ("cp -r dir/. dir/sub", 1, &["cannot be copied into itself"]),
            ("rm -r fresh there && ls -A", 0, &["dir  file  link\n"]),
            ("mv dir/ moved/ && mkdir new/ && mv moved new/ && cat new/moved/in", 0, &["in\n"]),
            ("rm -r new/", 0, &[]),
        ],
    )
}

/// Two file systems of the same form give their files the same numbers.
fn files_of_two_disks_are_not_taken_for_one(machine: Machine) -> Result<()> {
    let disk = |text: &str| -> Result<DiskImage> {
        let host = tempfile::tempdir()?;
        std::fs::write(host.path().join("one"), text.repeat(10_000))?;
        std::fs::hard_link(host.path().join("one"), host.path().join("two"))?;
        DiskImage::ext(8, Layout::Whole, &[], Some(host.path()))
    };
    let (a, b) = (disk("a")?, disk("b")?);
    let mut shell = Shell::boot(&machine.disk(a.disk()).disk(b.disk()))?;
    check_all(
        &mut shell,
        &[
            ("mkdir -p /tmp/m/a /tmp/m/b && mount /dev/vda /tmp/m/a && mount /dev/vdb /tmp/m/b", 0, &[]),
            ("stat /tmp/m/a/one /tmp/m/b/one", 0, &["Links: 2"]),
            ("cp -a /tmp/m /tmp/copy && cmp /tmp/copy/a/two /tmp/m/a/two && cmp /tmp/copy/b/two /tmp/m/b/two", 0, &[]),
            ("stat /tmp/copy/a/one /tmp/copy/b/two", 0, &["Links: 2"]),
            ("du -ab /tmp/m", 0, &["10000\t/tmp/m/a/one\n", "0\t/tmp/m/a/two\n", "10000\t/tmp/m/b/one\n"]),
            ("mkdir /tmp/n && mv /tmp/m/a/one /tmp/m/b/two /tmp/n && cmp /tmp/n/two /tmp/copy/b/two", 0, &[]),
        ],
    )?;
    let numbers = shell.run("ls -i1 /tmp/m/a/two /tmp/m/b/one")?;
    let numbers: Vec<&str> = numbers.lines().filter_map(|line| line.trim().split(' ').next()).collect();
    ensure!(numbers.len() == 2 && numbers[0] == numbers[1], "{numbers:?} are to be the same");
    Ok(())
}

fn very_many_names_are_listed_and_found(machine: Machine) -> Result<()> {
    // What makes the file system looks each name up among all that are there: more of them take it minutes.
    let host = tempfile::tempdir()?;
    std::fs::create_dir(host.path().join("many"))?;
    for number in 0..20_000 {
        std::fs::File::create(host.path().join(format!("many/name-{number}")))?;
    }
    let image = DiskImage::ext(64, Layout::Whole, &["-N", "22000"], Some(host.path()))?;
    let mut shell = Shell::boot(&machine.disk(image.disk()))?;
    shell.patience(Duration::from_secs(240));
    check_all(
        &mut shell,
        &[
            ("mkdir /tmp/m && mount -r /dev/vda /tmp/m", 0, &[]),
            ("ls /tmp/m/many | wc -l", 0, &["20000\n"]),
            ("ls -r /tmp/m/many | head -n 1", 0, &["name-9999\n"]),
            ("find /tmp/m/many -name 'name-1999*' | wc -l", 0, &["11\n"]),
            ("ls -C /tmp/m/many | wc -w", 0, &["20000\n"]),
        ],
    )
}

fn files_are_listed_and_found(machine: Machine) -> Result<()> {
    let mut shell = Shell::boot(&machine)?;
    shell.check("mkdir -p /tmp/t/sub/deep && touch /tmp/t/b.txt /tmp/t/.hidden && dd if=/dev/zero of=/tmp/t/sub/big bs=1k count=3 status=none && ln -s sub /tmp/t/link", 0, &[])?;
    check_all(
        &mut shell,
        &[
            ("ls /tmp/t", 0, &["b.txt  link  sub\n"]),
            ("ls -1a /tmp/t", 0, &[".\n..\n.hidden\nb.txt\nlink\nsub\n"]),
            ("ls -1AF /tmp/t", 0, &[".hidden\nb.txt\nlink@\nsub/\n"]),
            (
                "ls -l /tmp/t",
                0,
                &["total ", "-rw-r--r-- ", " root root ", "lrwxrwxrwx", " link -> sub\n", "drwxr-xr-x"],
            ),
            ("ls -lhi /tmp/t/sub", 0, &[" 3.0K "]),
            ("ls -d /tmp/t /tmp/none", 1, &["/tmp/t\n", "ls: /tmp/none: no such file"]),
            ("ls -l /dev/null /dev/ram0", 0, &["c", "b"]),
            ("ls -Z", 2, &["there is no option -Z"]),
            (
                "tree -a /tmp/t",
                0,
                &[
                    "├── .hidden\n",
                    "├── link -> sub\n",
                    "└── sub\n    ├── big\n    └── deep\n",
                    "2 directories, 4 files",
                ],
            ),
            ("tree /tmp/none", 1, &["tree: /tmp/none: no such file"]),
            ("find /tmp/t -name '*.txt'", 0, &["/tmp/t/b.txt\n"]),
            ("find /tmp/t -type d", 0, &["/tmp/t\n/tmp/t/sub\n/tmp/t/sub/deep\n"]),
            ("find /tmp/t -type f -size +2k", 0, &["/tmp/t/sub/big\n"]),
            ("find /tmp/t /tmp/none -type l", 1, &["/tmp/t/link\n", "find: /tmp/none: no such file"]),
            ("find /tmp/t -mindepth 1 -maxdepth 1 ! -type f", 0, &["/tmp/t/link\n/tmp/t/sub\n"]),
            ("find /tmp/t -type l -o -name 'b*' -type f", 0, &["/tmp/t/b.txt\n/tmp/t/link\n"]),
            ("find /tmp/t ! \\( -type f -o -type d \\)", 0, &["/tmp/t/link\n"]),
            ("find /tmp/t -name sub -prune -o -type f -print", 0, &["/tmp/t/.hidden\n/tmp/t/b.txt\n"]),
            ("find /tmp/t \\( -type f", 2, &["find: a `(` has no `)`", "usage: find"]),
            ("find /tmp/t -type f -o", 2, &["an expression behind `-o` is missing"]),
            ("find /tmp/t -exec ls {}", 2, &["-exec has no end"]),
            ("find -size x", 2, &["`x` is not a size", "usage: find"]),
            ("find /tmp/t -type z", 2, &["there is no type `z`"]),
            ("du -s /tmp/t", 0, &["\t/tmp/t\n"]),
            ("du -ab /tmp/t/sub", 0, &["3072\t/tmp/t/sub/big\n"]),
            ("du /tmp/none", 1, &["du: /tmp/none"]),
            ("df", 0, &["Filesystem", "1K-blocks", "Mounted on", " /\n"]),
            ("df -h /tmp", 0, &["Size", "%", " /\n"]),
            ("df /tmp/none", 1, &["df: /tmp/none"]),
            ("mount", 0, &[" on / type tmpfs (rw)", " on /bin type "]),
            ("mount -t ext4 /dev/none /tmp/t", 1, &["mount: /dev/none on /tmp/t: "]),
            ("mount x", 2, &["SOURCE and TARGET"]),
            ("mount x /tmp/t", 1, &["mount: x on /tmp/t: there is no such disk"]),
            ("umount /tmp/t", 1, &["umount: /tmp/t: "]),
            ("umount", 2, &["an operand is missing"]),
            ("pwd", 0, &["/\n"]),
            ("basename /a/b.c .c; basename /; basename -a x/y z", 0, &["b\n/\ny\nz\n"]),
            ("dirname /a/b c / a/b/", 0, &["/a\n.\n/\na\n"]),
            ("basename", 2, &["an operand is missing"]),
            ("dirname", 2, &["an operand is missing"]),
            ("env -i A=1 B=2 A=3", 0, &["B=2\nA=3\n"]),
            ("env x", 2, &["unexpected `x`"]),
            ("find /tmp/t -delete && ls -A /tmp/t", 1, &["ls: /tmp/t"]),
        ],
    )
}

fn programs_are_run_on_what_is_found(machine: Machine) -> Result<()> {
    let mut shell = Shell::boot(&machine)?;
    check_all(
        &mut shell,
        &[
            ("mkdir -p /tmp/t/sub && cd /tmp/t && echo one > 'a b' && echo two > c && echo three > sub/d", 0, &[]),
            ("find . -type f -exec echo got {}. \\;", 0, &["got ./a b.\ngot ./c.\ngot ./sub/d.\n"]),
            ("find . -type f -exec cat {} + -exec echo all {} +", 0, &["one\ntwo\nthree\nall ./a b ./c ./sub/d\n"]),
            ("find . -type f -exec grep -q t {} \\; -print", 0, &["./c\n./sub/d\n"]),
            ("find . -type f ! -exec grep -q t {} \\; -print", 0, &["./a b\n"]),
            // What find writes itself comes in between, be it into a pipe or a file.
            ("find c -print -exec cat {} \\; -print | cat", 0, &["c\ntwo\nc\n"]),
            ("find c -print -exec cat {} \\; -print > /tmp/out; cat /tmp/out", 0, &["c\ntwo\nc\n"]),
            ("find c -exec head -n 1 \\; < sub/d", 0, &["three\n"]),
            // Statuses.
            ("find . -exec false \\;", 0, &[]),
            ("find . -exec false {} +", 1, &[]),
            ("find c -exec nothing {} \\;", 0, &["find: nothing: there is no program of this name"]),
            ("find c -exec nothing {} +", 1, &["find: nothing: there is no program of this name"]),
            ("find c none -exec true {} +", 1, &["find: none: no such file"]),
            ("find c -exec /tmp/t/c {} +", 1, &["find: /tmp/t/c: not an ELF executable"]),
            // More than can have one session at once.
            ("mkdir many && cd many && touch $(seq 150)", 0, &[]),
            ("find . -type f -exec echo {} \\; | wc -l", 0, &["150\n"]),
            ("find . -type f -exec rm {} + && ls -A && cd .. && rmdir many", 0, &[]),
            ("find sub -maxdepth 0 -exec find {} -name d \\;", 0, &["sub/d\n"]),
            ("find . -delete && ls -A . && cd .. && rmdir t", 0, &[]),
        ],
    )?;
    // Ctrl-C ends the program with find.
    shell.session().type_line("find /tmp -maxdepth 0 -print -exec sleep 1000 \\;");
    shell.session().expect("\n/tmp", LONG)?;
    shell.session().send(b"\x03");
    shell.session().expect(PROMPT, LONG)?;
    ensure!(shell.run("echo $?")? == "130\n", "Ctrl-C");
    let left = shell.run("ps")?;
    ensure!(!left.contains("sleep") && !left.contains("find"), "a program is left: {left}");
    Ok(())
}

fn what_is_replaced_and_removed_is_asked_about(machine: Machine) -> Result<()> {
    let mut shell = Shell::boot(&machine)?;
    check_all(
        &mut shell,
        &[
            ("cd /tmp && mkdir -p d/e && echo new > n && echo old > o && touch d/f", 0, &[]),
            ("echo n | rm -i n", 0, &["rm: remove n? "]),
            ("echo | rm -i n && rm -i n < /dev/null && cat n", 0, &["rm: remove n? new\n"]),
            ("rm -i n & wait", 0, &["rm: remove n? "]),
            ("echo | cp -i n o && cat o", 0, &["cp: overwrite 'o'? old\n"]),
            ("echo y | cp -i n o && cat o", 0, &["cp: overwrite 'o'? new\n"]),
            ("cp -i n p && cp -if n p", 0, &[]),
            ("echo old > o && echo no | mv -i n o && cat n o", 0, &["mv: overwrite 'o'? new\nold\n"]),
            ("echo Yes | mv -i n o && cat o && ls n", 1, &["mv: overwrite 'o'? new\n", "ls: n: no such file"]),
            ("mv -i o n && mv -nif p n && cat n", 0, &["new\n"]),
            ("rm -ri d < /dev/null && ls -A d", 0, &["rm: descend into d? ", "e  f\n"]),
            (
                "yes | rm -ri d && ls d",
                1,
                &["remove directory d/e? ", "remove d/f? ", "remove directory d? ", "no such"],
            ),
            ("rm -i -f none", 0, &[]),
            ("rm -f -i none", 1, &["rm: none: no such file"]),
        ],
    )?;
    let text = typed(&mut shell, "rm -i n", "y\n")?;
    ensure!(text.contains("rm: remove n? "), "{text}");
    shell.check("ls n", 1, &["no such file"])?;
    Ok(())
}

fn files_are_followed(machine: Machine) -> Result<()> {
    let mut shell = Shell::boot(&machine)?;
    shell.check("cd /tmp && echo 1 > a && echo 2 > b", 0, &[])?;
    // Quotes, so that what is waited for is not what is typed.
    for (command, shown) in [
        ("tail -f a b none &", "==> a <==\r\n1\r\n\r\n==> b <==\r\n2\r\n"),
        ("echo thr''ee >> a", "==> a <==\r\nthree\r\n"),
        ("echo fo''ur >> a", "four\r\n"),
        ("echo fi''ve >> b", "==> b <==\r\nfive\r\n"),
        ("echo > b", "tail: b: file truncated\r\n"),
        ("service kill tmpfs; service kill vfs; echo si''x >> a", "==> a <==\r\nsix\r\n"),
        ("mv a c; echo sev''en >> c", "seven\r\n"),
    ] {
        shell.session().type_line(command);
        shell.session().expect(shown, LONG)?;
    }
    shell.session().type_line("kill %1; wait; ec''ho done");
    shell.session().expect("\ndone", LONG)?;
    check_all(
        &mut shell,
        &[
            ("seq 3 | tail -f -n 1", 0, &["3\n"]),
            ("tail -f < /dev/null", 0, &[]),
            (
                "tail -f none /tmp",
                1,
                &["tail: none: no such file", "tail: /tmp: is a directory", "tail: no files remaining"],
            ),
        ],
    )?;
    // A file as the standard input, and Ctrl-C.
    shell.session().type_line("tail -qf -n 1 < c");
    shell.session().expect("\nseven", LONG)?;
    shell.session().send(b"\x03");
    shell.session().expect(PROMPT, LONG)?;
    ensure!(shell.run("echo $?")? == "130\n", "Ctrl-C");
    Ok(())
}

fn data_is_copied_shown_and_sorted(machine: Machine) -> Result<()> {
    let mut shell = Shell::boot(&machine)?;
    typed(&mut shell, "tee /tmp/w", "pear 10\napple 9\nPear 10\napple 9\n")?;
    typed(&mut shell, "tee -a /tmp/w /tmp/none/x", "fig 100\n")?;
    check_all(
        &mut shell,
        &[
            ("cat /tmp/w", 0, &["apple 9\nfig 100\n"]),
            ("wc /tmp/w", 0, &[" 5 10 40 /tmp/w\n"]),
            ("wc -l /tmp/w /tmp/w", 0, &[" 5 /tmp/w\n", "10 total\n"]),
            ("wc /tmp/none", 1, &["wc: /tmp/none"]),
            ("head -n 1 /tmp/w", 0, &["pear 10\n"]),
            ("head -2 /tmp/w /bin", 1, &["==> /tmp/w <==\npear 10\napple 9\n", "head: /bin: is a directory"]),
            ("head -n -4 /tmp/w && head -n -9 /tmp/w", 0, &["pear 10\n"]),
            ("head -c 4 /tmp/w", 0, &["pear"]),
            ("head -n x /tmp/w", 2, &["`x` is not a number"]),
            ("tail -n 1 /tmp/w", 0, &["fig 100\n"]),
            ("tail -n +4 /tmp/w", 0, &["apple 9\nfig 100\n"]),
            ("tail -c 4 /tmp/w", 0, &["100\n"]),
            ("tail /tmp/none", 1, &["tail: /tmp/none"]),
            ("sort /tmp/w", 0, &["Pear 10\napple 9\napple 9\nfig 100\npear 10\n"]),
            ("sort -k2,2n -u /tmp/w", 0, &["apple 9\npear 10\nfig 100\n"]),
            ("sort -k 0 /tmp/w", 2, &["`0` is not a key"]),
            ("sort -o /tmp/w /tmp/w && uniq -c /tmp/w", 0, &["      2 apple 9\n      1 fig 100\n"]),
            ("uniq -di /tmp/w", 0, &["apple 9\n"]),
            ("uniq /tmp/none", 1, &["uniq: /tmp/none"]),
            ("cut -d ' ' -f 2 /tmp/w", 0, &["10\n9\n9\n100\n10\n"]),
            ("cut -c 1-2 /tmp/w", 0, &["Pe\nap\n"]),
            ("cut /tmp/w", 2, &["one of -f, -b and -c"]),
            ("grep -n ^a.*9 /tmp/w", 0, &["2:apple 9\n3:apple 9\n"]),
            ("grep -n -A 1 -B1 Pear /tmp/w", 0, &["1:Pear 10\n2-apple 9\n"]),
            ("grep -C 1 fig /tmp/w", 0, &["apple 9\nfig 100\npear 10\n"]),
            ("grep -A x fig /tmp/w", 2, &["`x` is not a number"]),
            ("grep -ic pear /tmp/w", 0, &["2\n"]),
            ("grep -vE 'a|f' /tmp/w", 1, &[]),
            ("grep -r fig /tmp", 0, &["/tmp/w:fig 100\n"]),
            ("grep x /tmp/none", 2, &["grep: /tmp/none: no such file"]),
            ("grep '[a' /tmp/w", 2, &["bad pattern: a `[` has no end"]),
            ("grep", 2, &["a pattern is missing"]),
            ("grep -q fig /tmp/w /tmp/none", 0, &[]),
            ("grep -q fig /tmp/none /tmp/w", 0, &["grep: /tmp/none"]),
            ("grep -q nothing /tmp/w /tmp/none", 2, &["grep: /tmp/none"]),
            ("grep -r -q fig /tmp", 0, &[]),
            ("hexdump -C -n 5 /tmp/w", 0, &["00000000  50 65 61 72 20  "]),
            ("hexdump /tmp/none", 1, &["hexdump: /tmp/none"]),
            ("seq 3; seq -s , 1 0.5 2; seq -w 8 11", 0, &["1\n2\n3\n1.0,1.5,2.0\n08\n09\n10\n11\n"]),
            ("seq 1 0 2", 2, &["the step is 0"]),
            ("seq x", 2, &["`x` is not a number"]),
            (
                "sha256sum /dev/null",
                0,
                &["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  /dev/null\n"],
            ),
            ("sha256sum /tmp/none", 1, &["sha256sum: /tmp/none"]),
            ("tr a-z", 2, &["an operand is missing"]),
            ("tr z-a x", 2, &["a range is the wrong way round"]),
            ("cmp /tmp/w /tmp/w", 0, &[]),
            ("cmp /tmp/w /tmp/none", 2, &["cmp: /tmp/none"]),
            // Copies of more than a buffer, and their parts.
            (
                "dd if=/dev/zero of=/tmp/z bs=1M count=3",
                0,
                &["3+0 records in\n3+0 records out\n3145728 bytes (3.1 MB, 3.0 MiB) copied, "],
            ),
            ("cp /tmp/z /tmp/y && cmp /tmp/z /tmp/y && wc -c /tmp/y", 0, &["3145728 /tmp/y\n"]),
            (
                "dd if=/tmp/w of=/tmp/y bs=1 count=3 seek=2M conv=notrunc,fsync status=none && cmp /tmp/z /tmp/y",
                1,
                &["/tmp/z /tmp/y differ: byte 2097153, line 1"],
            ),
            ("hexdump -C /tmp/y", 0, &["*\n00200000  50 65 61 00", "00300000\n"]),
            ("dd if=/tmp/y bs=1M skip=2 count=1 of=/tmp/x && wc -c /tmp/x", 0, &["1+0 records out", "1048576 /tmp/x"]),
            ("dd bs=0", 2, &["`0` is nothing for bs"]),
            ("dd if=/tmp/none", 1, &["dd: /tmp/none: no such file"]),
            ("dd bs=1G", 2, &["`1G` is too much for bs: 64M is the most"]),
            ("cp /dev/zero /dev/full", 1, &["no space left"]),
            (
                "dd if=/tmp/w of=/dev/ram0 seek=1 status=none && dd if=/dev/ram0 skip=1 count=1 of=/tmp/back && cmp -n 40 /tmp/w /tmp/back",
                0,
                &["1+0 records out"],
            ),
        ],
    )?;
    let text = shell.run("dd if=/tmp/none; dd if=/tmp/w of=/tmp/none/x")?;
    ensure!(!text.contains("records"), "{text}");
    let text = typed(&mut shell, "tr a-z A-Z", "made large\n")?;
    ensure!(text.contains("MADE LARGE\n"), "{text}");
    let sum = shell.run("sha256sum /tmp/w")?;
    typed(&mut shell, "tee /tmp/sums", &sum)?;
    shell.check("sha256sum -c /tmp/sums", 0, &["/tmp/w: OK\n"])?;
    shell.check(
        "cp /tmp/z /tmp/w && sha256sum -c /tmp/sums",
        1,
        &["/tmp/w: FAILED\n", "1 computed checksums did NOT match"],
    )?;
    Ok(())
}

fn a_text_is_edited_on_the_screen(machine: Machine) -> Result<()> {
    let mut shell = Shell::boot(&machine)?;
    shell.check("edit", 2, &["an operand is missing"])?;
    shell.check("edit /bin", 1, &["edit: /bin: is a directory"])?;
    shell.session().type_line("edit /tmp/e");
    shell.session().expect("Ctrl-Q quit", LONG)?;
    shell.session().send("first\rsécond\x1b[A\x1b[HX".as_bytes());
    shell.session().expect("(changed)", LONG)?;
    shell.session().send(b"\x11");
    shell.session().expect("not saved", LONG)?;
    shell.session().send(b"\x13");
    shell.session().expect("/tmp/e: saved", LONG)?;
    shell.session().send(b"\x11");
    shell.session().expect(PROMPT, LONG)?;
    ensure!(shell.run("cat /tmp/e; echo; wc -c /tmp/e")? == "Xfirst\nsécond\n14 /tmp/e\n");
    Ok(())
}
