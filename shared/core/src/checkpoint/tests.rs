use std::convert::Infallible;

use uuid::Uuid;

use super::*;

fn leaf(n: u32) -> Leaf {
    let digest: [u8; 32] = Sha256::digest(n.to_be_bytes()).into();
    Leaf { id: RemediationId(Uuid::from_u128(u128::from(n))), length: u64::from(n % 7) + 1, hash: Hash(digest) }
}

fn leaves(count: u32) -> Vec<Leaf> {
    (1..=count).map(leaf).collect()
}

fn root(leaves: &[Leaf]) -> String {
    let mut tree = Tree::default();
    for leaf in leaves {
        tree.push(leaf);
    }
    assert_eq!(tree.count(), leaves.len() as u64);
    assert_eq!(tree.entries(), leaves.iter().map(|leaf| leaf.length).sum::<u64>());
    tree.root()
}

/// The definition of RFC 9162, 2.1.1, word by word: split at the largest power of two below the count.
fn defined(leaves: &[Leaf]) -> [u8; 32] {
    match leaves {
        [] => Sha256::digest([]).into(),
        [one] => one.hashed(),
        more => {
            let split = (0..usize::BITS).map(|power| 1 << power).take_while(|size| *size < more.len()).last().unwrap_or(1);
            node(&defined(&more[..split]), &defined(&more[split..]))
        }
    }
}

#[test]
fn the_incremental_root_is_the_defined_one() {
    for count in (0..=300).chain([511, 512, 513, 1000]) {
        let leaves = leaves(count);
        assert_eq!(root(&leaves), hex(&defined(&leaves)), "{count} leaves");
    }
    assert_eq!(root(&[]), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "the empty tree of RFC 9162");
}

#[test]
fn any_change_swap_omission_or_addition_changes_the_root() {
    for count in 1..=33_u32 {
        let all = leaves(count);
        let sound = root(&all);
        for at in 0..all.len() {
            let changed = |change: fn(&mut Leaf)| {
                let mut other = all.clone();
                change(&mut other[at]);
                root(&other)
            };
            assert_ne!(changed(|l| l.length += 1), sound, "length of {at} of {count}");
            assert_ne!(changed(|l| l.hash.0[31] ^= 1), sound, "hash of {at} of {count}");
            assert_ne!(changed(|l| l.id = RemediationId(Uuid::from_u128(l.id.0.as_u128() ^ 1 << 100))), sound, "id of {at} of {count}");
            let mut omitted = all.clone();
            omitted.remove(at);
            assert_ne!(root(&omitted), sound, "{at} of {count} omitted");
            let mut twice = all.clone();
            twice.insert(at, all[at]);
            assert_ne!(root(&twice), sound, "{at} of {count} twice");
            for with in at + 1..all.len() {
                let mut swapped = all.clone();
                swapped.swap(at, with);
                assert_ne!(root(&swapped), sound, "{at} and {with} of {count} swapped");
            }
        }
    }
}

#[test]
fn a_node_is_never_taken_for_a_leaf() {
    // Without the prefixes a tree of two would have the root of one leaf made of two hashes.
    let pair = leaves(2);
    let unprefixed: [u8; 32] = Sha256::new().chain_update(pair[0].hashed()).chain_update(pair[1].hashed()).finalize().into();
    assert_ne!(root(&pair), hex(&unprefixed));
}

#[test]
fn a_checkpoint_is_read_as_it_was_written_and_strictly() {
    let header = Header {
        format: 1,
        number: 2,
        at: 1_790_000_000_000,
        count: 3,
        entries: 9,
        root: root(&leaves(3)),
        previous: Some(digest("the one before\n")),
    };
    let text = write(&header, &leaves(3)).unwrap();
    assert_eq!(read(&text), Ok((header.clone(), leaves(3))));
    assert_eq!(text.lines().count(), 4);

    assert_eq!(read(text.trim_end()), Err(CheckpointError::Cut));
    assert_eq!(read(""), Err(CheckpointError::Cut));
    let unordered = write(&header, &[leaf(2), leaf(1)]).unwrap();
    assert_eq!(read(&unordered), Err(CheckpointError::Order { line: 3 }));
    let twice = write(&header, &[leaf(2), leaf(2)]).unwrap();
    assert_eq!(read(&twice), Err(CheckpointError::Order { line: 3 }));
    let newer = write(&Header { format: 2, ..header }, &[]).unwrap();
    assert_eq!(read(&newer), Err(CheckpointError::Format { found: 2 }));
    let upper = text.replace(&leaf(1).hash.to_string(), &leaf(1).hash.to_string().to_uppercase());
    assert!(matches!(read(&upper), Err(CheckpointError::Line { line: 2, what: "end of a record", .. })), "{:?}", read(&upper));
    assert!(matches!(read("{}\n"), Err(CheckpointError::Line { line: 1, .. })));
}

#[test]
fn names_are_taken_exactly() {
    assert_eq!(name(1), "checkpoint-00000001.jsonl");
    assert_eq!(number(&name(1)), Some(1));
    assert_eq!(number(&name(123_456_789)), Some(123_456_789));
    for wrong in ["checkpoint-1.jsonl", "checkpoint-00000000.jsonl", "checkpoint-00000001.json", "../checkpoint-00000001.jsonl", "", "x"] {
        assert_eq!(number(wrong), None, "{wrong}");
    }
}

#[test]
fn a_leaf_is_made_of_a_head_that_is_one() {
    let id = leaf(1).id;
    let (_, head) = crate::chain::append(id, &ChainHead::default(), "{}".into());
    let leaf = Leaf::of(id, &head).unwrap();
    assert_eq!((leaf.length, leaf.hash.to_string()), (1, head.hash.clone()));
    assert_eq!(Leaf::of(id, &ChainHead::default()).map(|l| l.length), Some(0));
    let short: String = head.hash.chars().skip(1).collect();
    for hash in ["", "abc", &short, &format!("{short}g"), &format!("{}0", head.hash)] {
        assert_eq!(Leaf::of(id, &ChainHead { length: 1, hash: hash.to_owned() }), None, "{hash}");
    }
}

#[test]
fn checkpoints_side_by_side_give_every_end_and_every_root() {
    let longer = |n: u32, by: u64| Leaf { length: leaf(n).length + by, hash: leaf(n + 1000).hash, ..leaf(n) };
    // The first knows 1, 3 and 5; in the second 3 has grown and 2 is new; in the third 3 and 5 have.
    let files = [vec![leaf(1), leaf(3), leaf(5)], vec![leaf(2), longer(3, 1)], vec![longer(3, 2), longer(5, 4)]];
    let streams = files.iter().map(|f| f.iter().map(|l| Ok::<_, Infallible>(*l))).collect();
    let Ok(mut replay) = Replay::new(streams);
    let mut seen = Vec::new();
    while let Ok(Some(next)) = replay.advance() {
        seen.push((next.id.0.as_u128(), next.ends.iter().map(|(at, leaf)| (*at, leaf.length)).collect::<Vec<_>>()));
    }
    let lengths = |n: u32| leaf(n).length;
    assert_eq!(
        seen,
        [
            (1, vec![(0, lengths(1))]),
            (2, vec![(1, lengths(2))]),
            (3, vec![(0, lengths(3)), (1, lengths(3) + 1), (2, lengths(3) + 2)]),
            (5, vec![(0, lengths(5)), (2, lengths(5) + 4)]),
        ]
    );
    let roots: Vec<String> = replay.into_trees().iter().map(Tree::root).collect();
    let second = [leaf(1), leaf(2), longer(3, 1), leaf(5)];
    let third = [leaf(1), leaf(2), longer(3, 2), longer(5, 4)];
    assert_eq!(roots, [root(&files[0]), root(&second), root(&third)]);
}
