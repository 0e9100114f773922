//! Whiteouts, links, and what replaces what; nothing of it leaves the root.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::{Layer, read, tree};

#[test]
fn a_whiteout_removes_from_lower_layers_only() {
    let root = tree();
    Layer::new()
        .file("d/old", "1")
        .file("gone", "1")
        .apply(root.path())
        .unwrap();

    let upper = Layer::new()
        .file("d/made", "2")
        .file(".wh.d", "")
        .file(".wh.gone", "");
    upper
        .file(".wh.never-there", "")
        .apply(root.path())
        .unwrap();

    assert_eq!(read(root.path(), "d/made"), "2");
    assert!(!root.path().join("d/old").exists());
    assert!(!root.path().join("gone").exists());
}

#[test]
fn an_opaque_marker_spares_what_came_before_it_in_its_layer() {
    let root = tree();
    Layer::new()
        .file("d/old", "1")
        .file("d/sub/old", "1")
        .apply(root.path())
        .unwrap();

    let upper = Layer::new()
        .folder("d/")
        .file("d/made", "2")
        .file("d/.wh..wh..opq", "");
    upper.apply(root.path()).unwrap();

    let names: Vec<_> = fs::read_dir(root.path().join("d")).unwrap().collect();
    assert_eq!(names.len(), 1);
    assert_eq!(read(root.path(), "d/made"), "2");
}

#[test]
fn a_whiteout_removes_a_link_and_not_what_it_points_to() {
    let root = tree();
    Layer::new()
        .file("d/keep", "1")
        .symlink("link", "d")
        .apply(root.path())
        .unwrap();

    Layer::new()
        .file(".wh.link", "")
        .apply(root.path())
        .unwrap();

    assert!(root.path().join("link").symlink_metadata().is_err());
    assert_eq!(read(root.path(), "d/keep"), "1");
}

#[test]
fn files_and_folders_replace_each_other() {
    let root = tree();
    Layer::new()
        .file("a", "1")
        .file("b/x", "1")
        .symlink("l", "b")
        .apply(root.path())
        .unwrap();

    let upper = Layer::new().folder("a/").file("a/in", "2").file("b", "2");
    upper
        .folder("l/")
        .file("l/real", "2")
        .apply(root.path())
        .unwrap();

    assert_eq!(read(root.path(), "a/in"), "2");
    assert_eq!(read(root.path(), "b"), "2");
    assert!(root.path().join("l").symlink_metadata().unwrap().is_dir());
}

#[test]
fn hard_links_reach_lower_layers_later_entries_and_symbolic_links() {
    let root = tree();
    Layer::new().file("lower", "1").apply(root.path()).unwrap();

    let upper = Layer::new()
        .hard("to-lower", "lower")
        .hard("forward", "later")
        .file("later", "2");
    upper
        .symlink("sym", "nowhere")
        .hard("to-sym", "sym")
        .apply(root.path())
        .unwrap();

    let inode = |path| root.path().join(path).symlink_metadata().unwrap().ino();
    assert_eq!(inode("to-lower"), inode("lower"));
    assert_eq!(inode("forward"), inode("later"));
    assert_eq!(inode("to-sym"), inode("sym"));
}

#[test]
fn a_hard_link_to_nothing_is_an_error() {
    let error = Layer::new()
        .hard("a", "missing")
        .apply(tree().path())
        .unwrap_err();

    assert!(
        error
            .to_string()
            .contains("`missing`, which does not exist"),
        "{error}"
    );
}

#[test]
fn replacing_one_name_of_a_lower_file_leaves_the_other() {
    let root = tree();
    Layer::new()
        .file("a", "old")
        .hard("b", "a")
        .apply(root.path())
        .unwrap();

    Layer::new()
        .file("a", "changed")
        .apply(root.path())
        .unwrap();

    assert_eq!(read(root.path(), "b"), "old");
}

#[test]
fn nothing_leaves_the_root() {
    let outside = tree();
    let root = outside.path().join("root");
    fs::create_dir(&root).unwrap();
    let absolute = outside.path().to_str().unwrap();

    let layer = Layer::new()
        .file("../../escaped-1", "x")
        .symlink("up", "../..");
    let layer = layer.file("up/escaped-2", "x").symlink("abs", absolute);
    layer
        .file("abs/escaped-3", "x")
        .hard("link", "../../escaped-1")
        .apply(&root)
        .unwrap();

    let names: Vec<_> = fs::read_dir(outside.path()).unwrap().collect();
    assert_eq!(names.len(), 1);
    assert_eq!(read(&root, "escaped-1"), "x");
    assert_eq!(read(&root, "escaped-2"), "x");
    assert_eq!(
        read(
            &root,
            &format!("{}/escaped-3", absolute.trim_start_matches('/'))
        ),
        "x"
    );
}

#[test]
fn the_root_cannot_be_replaced() {
    assert!(
        Layer::new()
            .symlink("./", "/etc")
            .apply(tree().path())
            .is_err()
    );
    assert!(Layer::new().file(".wh..", "").apply(tree().path()).is_err());
}
