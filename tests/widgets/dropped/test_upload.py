"""A file given in pieces, as the page sends it."""

import pytest

from migkit.widgets.dropped.upload import Upload


@pytest.fixture
def field():
    return Upload("log", "Any log.", most_bytes=10)


def send(field, transfer, name, *pieces):
    for at, piece in enumerate(pieces, 1):
        said = {"transfer": transfer, "name": name, "last": at == len(pieces)}
        field._handle_custom_msg(said, [memoryview(piece)])


def test_pieces_are_put_together_and_told_once(field):
    seen = []
    field.observe(lambda change: seen.append(change.new), names="value")
    send(field, "1", "vm.log", b"abc", b"def", b"g")
    assert seen == [("vm.log", b"abcdefg")]
    assert field.name == "vm.log"


def test_a_file_that_was_begun_and_not_ended_is_dropped(field):
    field._handle_custom_msg({"transfer": "1", "name": "a", "last": False}, [memoryview(b"old")])
    send(field, "2", "b", b"new")
    assert field.value == ("b", b"new")


def test_an_empty_file_is_a_file(field):
    send(field, "1", "empty.log", b"")
    assert field.value == ("empty.log", b"")


def test_a_file_that_is_too_large_is_refused_in_one_line_and_the_last_one_stays(field):
    send(field, "1", "small.log", b"abc")
    send(field, "2", "large.log", b"12345678", b"90123")
    assert field.value == ("small.log", b"abc")
    assert "large.log is larger than 10 B" in field.message
    send(field, "3", "small.log", b"abcd")
    assert field.message == ""


def test_a_name_cannot_draw_on_the_page(field):
    send(field, "1", "a\x1b[2J\n.log", b"x")
    assert field.name == "a\\x1b[2J\\n.log"


def test_what_the_page_shows_is_part_of_the_state(field):
    send(field, "1", "vm.log", b"abc")
    state = field.get_state()
    assert state["name"] == "vm.log"
    assert "value" not in state
