//! The README's table: made from what the programs have said.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::thread;

use crate::rig::{Made, Servers};
use crate::{configuration, connections, operation, source, target};

const BEGIN: &str =
    "<!-- begin: written by MYSQL2GP_BLESS=1 cargo test -p testkit --test mistakes -->";
const END: &str = "<!-- end of mistakes -->";

fn all() -> Vec<Made> {
    let servers = Servers::start();
    thread::scope(|scope| {
        let groups = [
            scope.spawn(configuration::make),
            scope.spawn(|| connections::make(&servers)),
            scope.spawn(|| source::make(&servers)),
            scope.spawn(|| target::make(&servers)),
            scope.spawn(|| operation::make(&servers)),
        ];
        groups
            .into_iter()
            .flat_map(|group| group.join().unwrap())
            .collect()
    })
}

fn table(made: &[Made]) -> String {
    let mut out = "| mistake | with | exit | message |\n| --- | --- | --- | --- |\n".to_owned();
    for Made {
        mistake,
        command,
        code,
        message,
    } in made
    {
        let message = message.replace('|', "\\|");
        let _ = writeln!(
            out,
            "| {mistake} | `{command}` | {code} | `` {message} `` |"
        );
    }
    out
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")
}

#[test]
fn each_mistake_gets_the_message_of_the_readme() {
    let made = all();
    assert!(made.len() >= 40, "only {} mistakes", made.len());
    let readme = std::fs::read_to_string(path()).unwrap();
    let (head, rest) = readme.split_once(BEGIN).expect("the README has the marker");
    let (old, tail) = rest.split_once(END).expect("the README has the end marker");
    let new = format!("\n{}", table(&made));
    if std::env::var_os("MYSQL2GP_BLESS").is_some() {
        std::fs::write(path(), format!("{head}{BEGIN}{new}{END}{tail}")).unwrap();
        return;
    }
    for (old, new) in old.lines().zip(new.lines()) {
        assert_eq!(
            old, new,
            "README.md differs from what the programs say: run with MYSQL2GP_BLESS=1"
        );
    }
    assert_eq!(old.lines().count(), new.lines().count());
}
