//! The commands of `tools`, a file each. [`ALL`] is the one list of them: the names in it are those that `/bin` has.

mod basename;
mod cat;
mod cmp;
mod cp;
mod cut;
mod date;
mod dd;
mod df;
mod dirname;
mod diskctl;
mod du;
mod echo;
mod edit;
mod entropy;
mod env;
mod r#false;
mod find;
mod grep;
mod head;
mod hexdump;
mod ln;
mod losetup;
mod ls;
mod lsblk;
mod lspci;
mod mkdir;
mod mount;
mod mv;
mod pwd;
mod rm;
mod rmdir;
mod seq;
mod sha256sum;
mod sleep;
mod sort;
mod stat;
mod sync;
mod tail;
mod tee;
mod touch;
mod tr;
mod tree;
mod r#true;
mod umount;
mod uniq;
mod wc;
mod yes;

use libsys::ExitStatus;
use tools::Arguments;

/// A command: its name, and what it does with its arguments.
pub type Command = (&'static str, fn(&Arguments) -> ExitStatus);

/// Makes the table of commands, and the note by which `/bin` has their names.
macro_rules! commands {
    ($($name:literal $module:ident,)+) => {
        /// All commands, in alphabetical order.
        pub static ALL: &[Command] = &[$(($name, $module::run)),+];

        libsys::names!($($name),+);
    };
}

commands! {
    "basename" basename,
    "cat" cat,
    "cmp" cmp,
    "cp" cp,
    "cut" cut,
    "date" date,
    "dd" dd,
    "df" df,
    "dirname" dirname,
    "diskctl" diskctl,
    "du" du,
    "echo" echo,
    "edit" edit,
    "entropy" entropy,
    "env" env,
    "false" r#false,
    "find" find,
    "grep" grep,
    "head" head,
    "hexdump" hexdump,
    "ln" ln,
    "losetup" losetup,
    "ls" ls,
    "lsblk" lsblk,
    "lspci" lspci,
    "mkdir" mkdir,
    "mount" mount,
    "mv" mv,
    "pwd" pwd,
    "rm" rm,
    "rmdir" rmdir,
    "seq" seq,
    "sha256sum" sha256sum,
    "sleep" sleep,
    "sort" sort,
    "stat" stat,
    "sync" sync,
    "tail" tail,
    "tee" tee,
    "touch" touch,
    "tr" tr,
    "tree" tree,
    "true" r#true,
    "umount" umount,
    "uniq" uniq,
    "wc" wc,
    "yes" yes,
}

/// The command of a name.
pub fn find(name: &str) -> Option<fn(&Arguments) -> ExitStatus> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, run)| *run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_and_in_order() {
        assert!(ALL.is_sorted_by(|a, b| a.0 < b.0));
        assert!(find("ls").is_some() && find("l").is_none() && find("").is_none());
    }
}
