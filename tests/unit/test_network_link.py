"""Link descriptions: every field, what is refused and how, and that writing and reading agree."""

from __future__ import annotations

import pytest
from handshake_lab.errors import UsageError
from handshake_lab.plan.link import DISTRIBUTIONS, EXAMPLES, GilbertElliott, Impairment, LinkSpec
from handshake_lab.plan.units import CERTAIN, MILLISECOND, PERCENT, show_chance, show_duration, show_rate
from hypothesis import given, settings
from hypothesis import strategies as st

SET_ALONE = [
    ("delay=50ms", {"delay": 50 * MILLISECOND}),
    ("delay=1.5s", {"delay": 1500 * MILLISECOND}),
    ("delay=300us", {"delay": 300_000}),
    ("delay=7ns", {"delay": 7}),
    ("delay=50ms,jitter=5ms", {"delay": 50 * MILLISECOND, "jitter": 5 * MILLISECOND}),
    ("delay=5ms,jitter=5ms,jitter_correlation=25%", {"jitter_correlation": 25 * PERCENT}),
    ("delay=5ms,jitter=1ms,distribution=normal", {"distribution": "normal"}),
    ("loss=1%", {"loss": PERCENT}),
    ("loss=0.0000001%", {"loss": 1}),
    ("loss=100%", {"loss": CERTAIN}),
    ("loss=1%,loss_correlation=25%", {"loss_correlation": 25 * PERCENT}),
    ("gilbert=1%/10%", {"gilbert": GilbertElliott(PERCENT, 10 * PERCENT)}),
    ("gilbert=1%/10%/70%/0.1%", {"gilbert": GilbertElliott(PERCENT, 10 * PERCENT, 70 * PERCENT, PERCENT // 10)}),
    ("rate=10mbit", {"rate": 10_000_000}),
    ("rate=56kbit", {"rate": 56_000}),
    ("rate=1.5mbit", {"rate": 1_500_000}),
    ("limit=100", {"limit": 100}),
    ("delay=5ms,reorder=25%", {"reorder": 25 * PERCENT}),
    ("delay=5ms,reorder=25%,reorder_correlation=50%", {"reorder_correlation": 50 * PERCENT}),
    ("delay=5ms,reorder=25%,gap=5", {"gap": 5}),
    ("duplicate=1%", {"duplicate": PERCENT}),
    ("duplicate=1%,duplicate_correlation=5%", {"duplicate_correlation": 5 * PERCENT}),
    ("corrupt=0.1%", {"corrupt": PERCENT // 10}),
    ("corrupt=1%,corrupt_correlation=5%", {"corrupt_correlation": 5 * PERCENT}),
]

REFUSED = [
    ("delay=50", "delay", "has no unit"),
    ("delay=-5ms", "delay", "is negative"),
    ("delay=fast", "delay", "is not a duration"),
    ("delay=nan", "delay", "is not a duration"),
    ("delay=infs", "delay", "is not a duration"),
    ("delay=1e3ms", "delay", "is not a duration"),
    ("delay=5parsec", "delay", "has the unit 'parsec'"),
    ("delay=2000000s", "delay", "is longer than an hour"),
    ("delay=0.5ns", "delay", "more decimal places than can be set"),
    ("delay=", "delay", "is not a duration"),
    ("loss=120%", "loss", "is over 100%"),
    ("loss=abc", "loss", "is not a percentage"),
    ("loss=-1%", "loss", "is negative"),
    ("loss=1", "loss", "has no unit"),
    ("rate=0mbit", "rate", "transmits nothing"),
    ("rate=10", "rate", "has no unit"),
    ("rate=10mbps", "rate", "has the unit 'mbps'"),
    ("rate=9bit", "rate", "is not a whole number of bytes"),
    ("rate=9000gbit", "rate", "is over 1000gbit"),
    ("limit=0", "limit", "is below 1"),
    ("limit=1.5", "limit", "is not a whole number"),
    ("limit=99999999999", "limit", "is above"),
    ("reorder=25%", "reorder", "requires delay"),
    ("jitter=5ms", "jitter", "requires delay"),
    ("delay=5ms,jitter=6ms", "jitter", "is larger than the delay (5ms)"),
    ("delay=5ms,distribution=normal", "distribution", "requires jitter"),
    ("delay=5ms,jitter=1ms,distribution=cauchy", "distribution", "is not one of"),
    ("loss_correlation=5%", "loss_correlation", "requires loss"),
    ("delay=5ms,gap=5", "gap", "requires reorder"),
    ("gilbert=1%", "gilbert", "is not two to four percentages"),
    ("gilbert=1%/0%", "gilbert", "never leaves the bad state"),
    ("loss=1%,gilbert=1%/10%", "gilbert", "both are models of loss"),
    ("dealy=5ms", "dealy", "the nearest is 'delay'"),
    ("los=5%", "los", "the nearest is 'loss'"),
    ("delay=5ms,delay=6ms", "delay", "is given twice"),
    ("delay", "link", "is not name=value"),
    ("delay=5ms,,", "link", "is not name=value"),
]


@pytest.mark.parametrize(("text", "values"), SET_ALONE, ids=[text for text, _ in SET_ALONE])
def test_a_field_is_read_exactly_and_written_back(text: str, values: dict[str, object]) -> None:
    """Every field has the value of its text, and is formatted as a text that parses to the same value."""
    impairment = Impairment.parse(text)

    assert values == {key: getattr(impairment, key) for key in values}
    assert impairment == Impairment.parse(str(impairment))


@pytest.mark.parametrize(("text", "field", "reason"), REFUSED, ids=[text for text, _, _ in REFUSED])
def test_what_cannot_be_meant_is_refused_by_field_value_and_example(text: str, field: str, reason: str) -> None:
    """An error names the field and the reason, and contains an example that is accepted."""
    with pytest.raises(UsageError) as refusal:
        Impairment.parse(text)

    assert field in refusal.value.field
    assert reason in str(refusal.value)
    assert Impairment.parse(refusal.value.example)


def test_every_field_has_an_example_that_sets_it() -> None:
    """The examples in messages are right."""
    for key, example in EXAMPLES.items():
        assert getattr(Impairment.parse(example), key), key


def test_options_are_named_as_the_user_wrote_them() -> None:
    """``--delay 50`` is refused by that name, with value, reason and example."""
    with pytest.raises(UsageError, match=r"--delay: '50' has no unit \(ns, us, ms, s\)\. For example: delay=50ms"):
        Impairment.of({"delay": "50", "loss": None}, spell="--{}")


@pytest.mark.parametrize("value", [50, 0.5, True, b"50ms", ["50ms"]])
def test_numbers_without_units_are_refused_in_python_too(value: object) -> None:
    """A number has no unit, whatever its type."""
    with pytest.raises(UsageError, match="has no unit"):
        Impairment.of({"delay": value})


def test_changing_keeps_the_rest() -> None:
    """A change sets what it names, and one kind of loss takes the other's place."""
    before = Impairment.parse("delay=50ms,loss=1%")

    assert Impairment.parse("delay=50ms,loss=100%") == before.changed({"loss": "100%"})
    assert Impairment.parse("delay=50ms") == before.changed({"loss": "0%"})
    assert Impairment.parse("delay=50ms,gilbert=1%/10%") == before.changed({"gilbert": "1%/10%"})
    with pytest.raises(UsageError, match="larger than the delay"):
        before.changed({"jitter": "60ms"})


def test_overlaying_replaces_what_the_other_sets() -> None:
    """A later description wins field by field."""
    assert Impairment.parse("delay=50ms,loss=2%") == Impairment.parse("delay=50ms,loss=1%").overlaid(
        Impairment.parse("loss=2%")
    )


PLACES = [
    ("delay=50ms", ("", "", True)),
    ("h1>h2:loss=5%", ("h1", "h2", False)),
    ("h2<h1:loss=5%", ("h1", "h2", False)),
    ("h1-s1:loss=5%", ("h1", "s1", True)),
    ("s1 <> h1 : loss=5%", ("h1", "s1", True)),
]


@pytest.mark.parametrize(("text", "place"), PLACES, ids=[text for text, _ in PLACES])
def test_a_place_is_read_and_written_back(text: str, place: tuple[str, str, bool]) -> None:
    """One way, both ways, or everywhere."""
    request = LinkSpec.parse(text)

    assert place == (request.first, request.second, request.both)
    assert request == LinkSpec.parse(str(request))


@pytest.mark.parametrize("text", ["", "h1>h1:loss=5%", "h1:loss=5%", "h1>h2>h3:loss=5%", "h1=h2:loss=5%"])
def test_a_place_that_is_none_is_refused(text: str) -> None:
    """The place before the colon is two different nodes."""
    with pytest.raises(UsageError, match="--link"):
        LinkSpec.parse(text, field="--link")


chances = st.integers(0, CERTAIN).map(show_chance)
durations = st.integers(0, 3600 * 10**9).map(show_duration)
rates = st.integers(1, 10**11).map(lambda n: show_rate(8 * n))
values = {
    **dict.fromkeys(EXAMPLES, chances),
    "delay": durations,
    "jitter": durations,
    "rate": rates,
    "limit": st.integers(1, 10**6).map(str),
    "gap": st.integers(1, 10**6).map(str),
    "distribution": st.sampled_from(DISTRIBUTIONS),
    "gilbert": st.lists(chances, min_size=2, max_size=4).map("/".join),
}
#: Texts that resemble a description: valid values, invalid values, and none.
noise = st.text(alphabet="0123456789.%-+/=,smukbitdelayos infna>:", max_size=12)
items = st.sampled_from(sorted(EXAMPLES)).flatmap(lambda key: st.tuples(st.just(key), values[key] | noise))
descriptions = st.lists(items, max_size=6, unique_by=lambda item: item[0]).map(
    lambda found: ",".join(f"{key}={value}" for key, value in found)
)


def read(text: str) -> LinkSpec | UsageError:
    """The request in a text, or why it is refused."""
    try:
        return LinkSpec.parse(text, field="--link")
    except UsageError as refusal:
        return refusal


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(["h1>h2:", "h1-h2:", "s1<h2:", ""]), st.one_of(descriptions, noise))
def test_any_description_round_trips_or_is_refused_by_name(place: str, text: str) -> None:
    """The parser parses, formats and parses any text to the same value, or names the error."""
    request = read(place + text)

    if isinstance(request, UsageError):
        named = request.field.removeprefix("--link").strip()
        assert request.field.startswith("--link")
        assert named in text
        assert request.example
    else:
        assert request == LinkSpec.parse(str(request))
