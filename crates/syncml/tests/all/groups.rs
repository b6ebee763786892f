//! Sequence, Atomic, and the user in the middle.

use std::time::Duration;

use scomo_syncml::message::{Request, Verb};
use scomo_syncml::{Answer, Code, Encoding, Input, Kind};

use crate::tree::uri;
use crate::world::{World, add, alert, copy, delete, exec, get, group, replace};

fn world() -> World {
    World::started(Encoding::Xml)
}

fn sequence(inner: Vec<Request>) -> Request {
    group(Verb::Sequence, inner)
}

fn atomic(inner: Vec<Request>) -> Request {
    group(Verb::Atomic, inner)
}

fn confirm() -> Request {
    alert(1101, &["MAXDT=10", "Really?"])
}

#[test]
fn a_sequence_runs_in_order_and_a_failure_does_not_stop_it() {
    let mut world = world();
    let inner = vec![add("./A/N", "1"), delete("./None"), replace("./A/N", "2"), get("./A/N")];
    world.serve(vec![sequence(inner)]);
    let expected = ["Sequence 200", "Add 200", "Delete 404", "Replace 200", "Get 200", "Results ./A/N=2"];
    assert_eq!(world.answers(), expected);
}

#[test]
fn groups_nest() {
    let mut world = world();
    let inner =
        sequence(vec![add("./A/N", "1"), atomic(vec![add("./A/M", "2"), delete("./A/N")]), get("./A/M")]);
    world.serve(vec![sequence(vec![inner, sequence(vec![])])]);
    let expected = [
        "Sequence 200",
        "Sequence 200",
        "Add 200",
        "Atomic 200",
        "Add 200",
        "Delete 200",
        "Get 200",
        "Results ./A/M=2",
        "Sequence 200",
    ];
    assert_eq!(world.answers(), expected);
}

/// The four ways to change something, each of which works.
fn changes() -> Vec<Request> {
    vec![add("./A/N", "1"), replace("./A/B", "2"), delete("./A/Long"), copy("./A/C", "./A/D")]
}

#[test]
fn an_atomic_does_everything_when_everything_works() {
    let mut world = world();
    world.serve(vec![atomic(changes())]);
    assert_eq!(world.answers(), ["Atomic 200", "Add 200", "Replace 200", "Delete 200", "Copy 200"]);
    assert_eq!((world.tree.text("./A/B"), world.tree.text("./A/D")), (Some("2"), Some("c")));
}

#[test]
fn an_atomic_does_nothing_when_anything_fails_at_any_place() {
    let before = world().tree.nodes;
    for failing in 0..=4 {
        let mut world = world();
        let mut inner = changes();
        inner.insert(failing, replace("./None", "x"));
        world.serve(vec![atomic(inner), get("./A/B")]);
        let mut expected = vec!["Atomic 507".to_owned()];
        let names = ["Add", "Replace", "Delete", "Copy"];
        expected.extend(names[..failing].iter().map(|name| format!("{name} 216")));
        expected.push("Replace 404".to_owned());
        expected.extend(names[failing..].iter().map(|name| format!("{name} 215")));
        expected.extend(["Get 200".to_owned(), "Results ./A/B=b".to_owned()]);
        assert_eq!(world.answers(), expected, "the one at {failing} fails");
        assert_eq!(world.tree.nodes, before);
    }
}

#[test]
fn a_failing_item_fails_its_atomic_and_the_items_behind_it_are_not_tried() {
    let mut world = world();
    let mut many = add("./A/N", "1");
    many.items.extend([add("./A/B", "x").items.remove(0), add("./A/M", "2").items.remove(0)]);
    world.serve(vec![atomic(vec![many])]);
    assert_eq!(world.answers(), ["Atomic 507", "Add 216", "Add 418", "Add 215"]);
    assert_eq!((world.tree.text("./A/N"), world.tree.text("./A/M")), (None, None));
}

#[test]
fn a_roll_back_that_fails_is_told() {
    let mut world = world();
    world.tree.roll_back = Some(Code::STORE_FAILED);
    world.serve(vec![atomic(vec![add("./A/N", "1"), delete("./None")])]);
    assert_eq!(world.answers(), ["Atomic 507", "Add 516", "Delete 404"]);
}

#[test]
fn a_commit_that_fails_is_rolled_back() {
    let mut world = world();
    world.tree.commit = Some(Code::DEVICE_FULL);
    world.serve(vec![atomic(vec![add("./A/N", "1")])]);
    assert_eq!(world.answers(), ["Atomic 507", "Add 216"]);
    assert_eq!(world.tree.text("./A/N"), None);
}

#[test]
fn an_atomic_with_what_cannot_be_undone_is_not_begun() {
    let forbidden = [get("./A/B"), exec("./A/B", ""), atomic(vec![]), sequence(vec![delete("./A/B")])];
    for inner in forbidden {
        let mut world = world();
        let name = inner.verb.name().to_owned();
        let deeper = !inner.inner.is_empty();
        world.serve(vec![atomic(vec![add("./A/N", "1"), inner])]);
        let mut expected = vec!["Atomic 500".to_owned(), "Add 215".to_owned(), format!("{name} 215")];
        expected.extend(deeper.then(|| "Delete 215".to_owned()));
        assert_eq!(world.answers(), expected);
        assert_eq!(world.tree.text("./A/N"), None);
    }
}

#[test]
fn a_tree_without_transactions_has_no_atomic() {
    let mut world = world();
    world.tree.transactions = false;
    world.serve(vec![atomic(vec![add("./A/N", "1")])]);
    assert_eq!(world.answers(), ["Atomic 406", "Add 215"]);
}

#[test]
fn a_question_stops_everything_until_it_is_answered() {
    let mut world = world();
    world.serve(vec![add("./A/N", "1"), confirm(), add("./A/M", "2")]);
    assert_eq!((world.messages, world.tree.text("./A/M")), (1, None));
    assert_eq!((world.asked[0].kind.clone(), world.asked[0].text.as_str()), (Kind::Confirm, "Really?"));
    assert!(!world.session.is_waiting());
    world.answer(Answer::Yes);
    assert_eq!(world.answers(), ["Add 200", "Alert 200", "Add 200"]);
}

#[test]
fn answers_come_back_with_their_data() {
    let mut world = world();
    let choices = alert(1104, &["", "Which?", "one", "two", "three"]);
    world.serve(vec![alert(1102, &["", "Name?"]), choices, alert(1100, &["MINDT=1", "Thanks"])]);
    world.answer(Answer::Text("Ada".to_owned()));
    world.answer(Answer::Chosen(vec![3, 1]));
    world.answer(Answer::Yes);
    assert_eq!(world.answers(), ["Alert 200 [=Ada]", "Alert 200 [=3] [=1]", "Alert 200"]);
}

#[test]
fn bad_questions_are_not_asked() {
    let mut world = world();
    world.serve(vec![
        alert(1101, &[""]),
        alert(1103, &["", "Which?"]),
        alert(1100, &["", &"x".repeat(5000)]),
    ]);
    assert_eq!(world.answers(), ["Alert 412", "Alert 412", "Alert 416"]);
    assert!(world.asked.is_empty());
}

#[test]
fn no_stops_a_sequence_and_nothing_else() {
    let mut world = world();
    world.serve(vec![
        sequence(vec![add("./A/N", "1"), confirm(), add("./A/M", "2"), sequence(vec![get("./A/B")])]),
        add("./A/O", "3"),
    ]);
    world.answer(Answer::No);
    let expected = ["Sequence 200", "Add 200", "Alert 304", "Add 215", "Sequence 215", "Get 215", "Add 200"];
    assert_eq!(world.answers(), expected);
    // Outside of a group it stops nothing.
    world.serve(vec![confirm(), add("./A/P", "4")]);
    world.answer(Answer::No);
    assert_eq!(world.answers(), ["Alert 304", "Add 200"]);
}

#[test]
fn no_fails_an_atomic() {
    for (answer, code) in
        [(Answer::No, 304), (Answer::Timeout, 408), (Answer::NotShown, 416), (Answer::Unsupported, 406)]
    {
        let mut world = world();
        world.serve(vec![atomic(vec![add("./A/N", "1"), confirm(), add("./A/M", "2")]), add("./A/O", "3")]);
        assert!(world.tree.in_transaction());
        world.answer(answer);
        assert_eq!(
            world.answers(),
            [
                "Atomic 507".to_owned(),
                "Add 216".to_owned(),
                format!("Alert {code}"),
                "Add 215".to_owned(),
                "Add 200".to_owned()
            ]
        );
        assert_eq!((world.tree.text("./A/N"), world.tree.text("./A/O")), (None, Some("3")));
    }
    let mut world = world();
    world.serve(vec![atomic(vec![add("./A/N", "1"), confirm(), add("./A/M", "2")])]);
    world.answer(Answer::Yes);
    assert_eq!(world.answers(), ["Atomic 200", "Add 200", "Alert 200", "Add 200"]);
}

#[test]
fn cancel_stops_everything() {
    let mut world = world();
    world.serve(vec![
        add("./A/N", "1"),
        sequence(vec![confirm(), add("./A/M", "2")]),
        atomic(vec![get("./A/B")]),
        add("./A/O", "3"),
    ]);
    world.answer(Answer::Cancel);
    let expected = ["Add 200", "Sequence 200", "Alert 214", "Add 215", "Atomic 215", "Get 215", "Add 215"];
    assert_eq!(world.answers(), expected);
    // The next message starts afresh.
    world.serve(vec![add("./A/O", "3")]);
    assert_eq!(world.answers(), ["Add 200"]);
}

#[test]
fn cancel_inside_an_atomic_undoes_it() {
    let mut world = world();
    world.serve(vec![atomic(vec![add("./A/N", "1"), confirm()])]);
    world.answer(Answer::Cancel);
    assert_eq!(world.answers(), ["Atomic 507", "Add 216", "Alert 214"]);
    assert_eq!(world.tree.text("./A/N"), None);
}

#[test]
fn nobody_answers() {
    let mut world = world();
    world.serve(vec![confirm(), alert(1102, &["", "Name?"])]);
    assert_eq!(world.session.deadline(), Some(world.now + Duration::from_secs(10)));
    world.now += Duration::from_secs(9);
    world.input(Input::Time);
    assert_eq!(world.asked.len(), 1);
    world.now += Duration::from_secs(1);
    world.input(Input::Time);
    // The second question does not say how long; the configuration does.
    assert_eq!(world.session.deadline(), Some(world.now + Duration::from_secs(60)));
    world.now += Duration::from_secs(60);
    world.input(Input::Time);
    assert_eq!(world.answers(), ["Alert 408", "Alert 408"]);
}

#[test]
fn an_abort_in_the_middle_of_an_atomic_undoes_it() {
    let mut world = world();
    world.serve(vec![atomic(vec![add("./A/N", "1"), confirm()])]);
    world.input(Input::Abort);
    assert_eq!(world.said(), ["SyncHdr 200", "Atomic 507", "Add 216", "Alert 214", "Alert 1223", "Final"]);
    assert!(!world.tree.nodes.contains_key(&uri("./A/N")));
}

#[test]
fn an_atomic_is_undone_when_the_session_ends_before_the_user_answers() {
    let mut world = world();
    world.serve(vec![sequence(vec![atomic(vec![add("./A/N", "1"), confirm()])])]);
    assert!(world.tree.in_transaction());
    world.input(Input::Lost);
    assert_eq!((world.error().as_str(), world.tree.text("./A/N")), ("Lost", None));
}
