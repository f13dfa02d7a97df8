"""The judge is judged: the fold agrees with what others say is true, and sees every difference."""
import copy

import pytest

import oracle
from handmade import Create, Delete, Repo, Sequence, write_frames

DID = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"


def test_the_fold_of_a_capture_is_its_truth(capture):
    truth = capture.truth()
    assert truth.live()
    assert oracle.differences(truth, oracle.fold(capture.frames)) == []


def spoil_cid(state, key):
    state.rows[key] = ("bafyother", state.rows[key][1])


def spoil_value(state, key):
    state.rows[key] = (state.rows[key][0], {"another": 2**53 + 1})


def lose_row(state, key):
    del state.rows[key]


def add_row(state, key):
    state.rows[(key[0], key[1], "one-too-many")] = state.rows[key]


def rename(state, key):
    state.repos[key[0]].handle = "somebody-else.test"


def hide(state, key):
    state.repos[key[0]].active = False


def age(state, key):
    state.repos[key[0]].rev = "2222222222222"


@pytest.mark.parametrize("spoil", [spoil_cid, spoil_value, lose_row, add_row, rename, hide, age])
def test_no_difference_escapes(generated, spoil):
    truth = generated.truth()
    spoiled = copy.deepcopy(truth)
    spoil(spoiled, next(iter(truth.live())))
    assert oracle.differences(truth, spoiled) != []


def test_integers_that_a_double_cannot_tell_apart_differ():
    assert oracle.canonical({"n": 2**53}) != oracle.canonical({"n": 2**53 + 1})


def test_a_deletion_takes_what_was_there_and_a_later_create_stays(folder):
    repo = Repo(Sequence(), DID)
    frames = [
        repo.commit(Create("com.example.x/a", {"n": 1}), Create("com.example.x/b", {"n": 2})),
        repo.commit(Delete("com.example.x/a")),
        repo.account(False, "deleted"),
        repo.account(True),
        repo.commit(Create("com.example.x/c", {"n": 3})),
    ]
    state = oracle.fold(write_frames(frames, folder / "f.bin"))
    assert [key[2] for key in state.live()] == ["c"]
