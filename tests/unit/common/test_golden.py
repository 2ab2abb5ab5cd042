"""The wire is for ever: a log of today must be readable by every later version."""

from __future__ import annotations

import pytest

from libs.common.codec import as_written, decode, decode_from, encode
from libs.common.messages import ALL, Message
from libs.common.messages.retired import RETIRED
from libs.common.subjects import subject_of
from tests.unit.common.sampling import GOLDEN, golden_path, sample_of, tag_of, write_missing

TAGS = sorted(path.name.removesuffix(".json") for path in GOLDEN.glob("*.json"))


@pytest.mark.parametrize("tag", TAGS)
def test_a_recorded_sample_decodes_and_has_the_same_bytes_again(tag: str) -> None:
    """Bytes in the log neither lose nor gain anything on their way through this version's types."""
    raw = golden_path(tag).read_bytes().rstrip(b"\n")
    message = as_written(raw)
    assert tag_of(type(message)) == tag
    assert encode(message) == raw
    assert decode_from(subject_of(message), raw) == decode(raw)


@pytest.mark.parametrize("kind", RETIRED, ids=tag_of)
def test_a_former_version_is_read_in_todays_words(kind: type[Message]) -> None:
    """Machines know the newest version only; the metadata, the position in it above all, stays."""
    raw = golden_path(tag_of(kind)).read_bytes().rstrip(b"\n")
    written, read = as_written(raw), decode(raw)
    assert type(read) in ALL
    assert subject_of(read) == subject_of(written)
    assert [getattr(read, name) for name in Message.__struct_fields__] == [
        getattr(written, name) for name in Message.__struct_fields__
    ]


@pytest.mark.parametrize("kind", ALL, ids=tag_of)
def test_every_type_and_version_has_a_sample(kind: type[Message]) -> None:
    """A type that can be written without a sample could be changed without anybody noticing."""
    assert golden_path(tag_of(kind)).exists(), "run: python -m tests.unit.common.sampling, and look at what it wrote"


@pytest.mark.parametrize("kind", ALL, ids=tag_of)
def test_types_say_their_version_and_their_meaning(kind: type[Message]) -> None:
    """`order_approved.v1`, with a docstring of its own."""
    name, _, version = tag_of(kind).rpartition(".v")
    assert name.replace("_", "").isalpha()
    assert int(version) >= 1
    assert kind.__doc__
    assert kind.__doc__ != Message.__doc__


def test_samples_are_never_rewritten(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tool writes what is missing and leaves what is there, even where today's type would say it differently."""
    monkeypatch.setattr("tests.unit.common.sampling.GOLDEN", tmp_path)
    golden = tmp_path / f"{tag_of(ALL[0])}.json"
    golden.write_text("kept")
    written = write_missing()
    assert golden.read_text() == "kept"
    assert len(written) == len(ALL) - 1
    assert write_missing() == []


@pytest.mark.parametrize("kind", ALL, ids=tag_of)
def test_a_sample_fills_every_field(kind: type[Message]) -> None:
    """No field of the sample is left at nothing, so each one's wire form is pinned."""
    sample = sample_of(kind)
    empty = [name for name in kind.__struct_fields__ if getattr(sample, name) in ("", 0, None, (), {})]
    assert empty == []
