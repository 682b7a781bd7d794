import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migkit import units
from migkit.errors import UsageError

SIZES = "B, kB, MB, GB, TB, KiB, MiB, GiB or TiB"
RATES = "bit/s, kbit/s, Mbit/s, Gbit/s, B/s, kB/s, MB/s, GB/s, KiB/s, MiB/s or GiB/s"
TIMES = "ns, us, ms, s, min or h"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0 B", 0),
        ("1kB", 1000),
        ("1 KiB", 1024),
        (" 1.5 GiB ", 3 << 29),
        ("1e3 MB", 10**9),
        ("1_000 B", 1000),
        ("0.1 GB", 10**8),
        (".5 KiB", 512),
        ("2 PiB", 2 << 50),
    ],
)
def test_sizes(text, value):
    assert units.size(text) == value
    assert type(units.size(text)) is int


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8 bit/s", 1),
        ("1 Mbit/s", 125_000),
        ("1 MB/s", 10**6),
        ("1 MiB/s", 2**20),
        ("-0 B/s", 0),
        ("1 Tbit/s", 1.25e11),
    ],
)
def test_rates(text, value):
    assert units.rate(text) == value
    assert math.copysign(1, units.rate(text)) == 1


@pytest.mark.parametrize(
    ("text", "value"), [("300 ms", 0.3), ("1 h", 3600), ("2min", 120), ("5 us", 5e-6), ("7 ns", 7e-9), ("0 s", 0)]
)
def test_durations(text, value):
    assert units.duration(text) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    ("parse", "texts"),
    [
        (units.duration, ("1 us", "1 µs", "1 μs", "1 usec", "1 microsecond", "1 microseconds")),
        (units.duration, ("5 ms", "5 msec", "5 millisecond", "5 Milliseconds")),
        (units.duration, ("2 s", "2 sec", "2 secs", "2 second", "2seconds")),
        (units.duration, ("30 min", "30 mins", "30 minute", "30 minutes", "30 Minutes")),
        (units.duration, ("1 h", "1 hr", "1 hrs", "1 hour", "1 hours")),
        (units.size, ("7 B", "7 byte", "7 bytes")),
        (units.size, ("7 GiB", "7 gibibyte", "7 Gibibytes")),
        (units.rate, ("25 Gbit/s", "25 GbE", "25 gigabit/s", "25 gigabits/sec", "25 gigabits per second")),
        (units.rate, ("3 MiB/s", "3 mebibytes/s", "3 mebibyte per second")),
    ],
)
def test_a_unit_written_out_in_full_is_taken(parse, texts):
    assert {parse(text) for text in texts} == {parse(texts[0])}


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (units.size, 64, f"memory: 64 has no unit; write it as text with one of {SIZES}"),
        (units.size, True, f"memory: True has no unit; write it as text with one of {SIZES}"),
        (units.size, None, f"memory: None has no unit; write it as text with one of {SIZES}"),
        (units.size, "64", f'memory: "64" has no unit; write it with one of {SIZES}'),
        (units.size, "", f'memory: "" is not a size; write a number and one of {SIZES}'),
        (units.size, "much", f'memory: "much" is not a size; write a number and one of {SIZES}'),
        (units.size, "1,5 GB", f'memory: ",5 GB" is not a unit of size; use one of {SIZES}'),
        (units.size, "1__0 B", f'memory: "__0 B" is not a unit of size; use one of {SIZES}'),
        (units.size, "nan B", f'memory: "nan B" is not a size; write a number and one of {SIZES}'),
        (units.size, "inf B", f'memory: "inf B" is not a size; write a number and one of {SIZES}'),
        (units.size, "-1 MiB", 'memory: "-1 MiB" is negative; it must be 0 or more'),
        (units.size, "0.5 B", 'memory: "0.5 B" is not a whole number of bytes; write it in B'),
        (units.size, "1e999 B", 'memory: "1e999 B" is too large'),
        (units.size, "4G", f'memory: "G" is not a unit of size; use one of {SIZES} (did you mean "GB" or "GiB"?)'),
        (units.size, "4 gib", f'memory: "gib" is not a unit of size; use one of {SIZES} (did you mean "GiB"?)'),
        (
            units.size,
            "4 Gb",
            f'memory: "Gb" is not a unit of size; use one of {SIZES}; sizes are in bytes, and 8 bit are 1 B',
        ),
        (units.size, "64 Gi", f'memory: "Gi" is not a unit of size; use one of {SIZES} (did you mean "GiB"?)'),
        (
            units.size,
            "4194304 kbytes",
            f'memory: "kbytes" is not a unit of size; use one of {SIZES} (did you mean "KiB" or "kB"?)',
        ),
        (
            units.size,
            "3 gigabytes",
            f'memory: "gigabytes" is not a unit of size; use one of {SIZES} (did you mean "GiB" or "GB"?)',
        ),
        (units.rate, "640 Mi/s", f'memory: "Mi/s" is not a unit of rate; use one of {RATES} (did you mean "MiB/s"?)'),
        (
            units.rate,
            "25 gigabit",
            f'memory: "gigabit" is not a unit of rate; use one of {RATES} (did you mean "Gbit/s"?)',
        ),
        (units.size, "25 GbE", f'memory: "GbE" is not a unit of size; use one of {SIZES}'),
        (units.rate, "3 minutes/s", f'memory: "minutes/s" is not a unit of rate; use one of {RATES}'),
        (
            units.rate,
            "9 kbytes/s",
            f'memory: "kbytes/s" is not a unit of rate; use one of {RATES} (did you mean "KiB/s" or "kB/s"?)',
        ),
        (units.size, "4 parsec", f'memory: "parsec" is not a unit of size; use one of {SIZES}'),
        (units.size, "4 B\nB", f'memory: "B\\nB" is not a unit of size; use one of {SIZES}'),
        (units.size, "x" * 99, f'memory: "{"x" * 37}..." is not a size; write a number and one of {SIZES}'),
        (units.rate, "10 Gbps", f'memory: "Gbps" is not a unit of rate; use one of {RATES} (did you mean "Gbit/s"?)'),
        (units.rate, "10 Gb/s", f'memory: "Gb/s" is not a unit of rate; use one of {RATES} (did you mean "Gbit/s"?)'),
        (units.rate, "10 MBps", f'memory: "MBps" is not a unit of rate; use one of {RATES} (did you mean "MB/s"?)'),
        (
            units.rate,
            "10 mbps",
            f'memory: "mbps" is not a unit of rate; use one of {RATES} (did you mean "MB/s" or "Mbit/s"?)',
        ),
        (units.rate, "10 Gbit", f'memory: "Gbit" is not a unit of rate; use one of {RATES} (did you mean "Gbit/s"?)'),
        (units.rate, "10 GB", f'memory: "GB" is not a unit of rate; use one of {RATES} (did you mean "GB/s"?)'),
        (
            units.rate,
            "10 Mbits/s",
            f'memory: "Mbits/s" is not a unit of rate; use one of {RATES} (did you mean "Mbit/s"?)',
        ),
        (units.rate, "10 s", f'memory: "s" is not a unit of rate; use one of {RATES}'),
        (units.rate, "10", f'memory: "10" has no unit; write it with one of {RATES}'),
        (units.rate, 1.25e9, f"memory: 1250000000.0 has no unit; write it as text with one of {RATES}"),
        (
            units.duration,
            "3 m",
            f'memory: "m" is not a unit of time; use one of {TIMES} (did you mean "min" or "ms"?)',
        ),
        (units.duration, "3 MS", f'memory: "MS" is not a unit of time; use one of {TIMES} (did you mean "ms"?)'),
        (units.duration, "300", f'memory: "300" has no unit; write it with one of {TIMES}'),
        (units.duration, "-1 s", 'memory: "-1 s" is negative; it must be 0 or more'),
    ],
)
def test_bad_text_is_refused_in_one_line(parse, text, message):
    with pytest.raises(UsageError) as caught:
        parse(text, "memory")
    assert str(caught.value) == message
    assert caught.value.exit_code == 2
    assert "\n" not in message


@given(st.text(max_size=30))
def test_any_text_is_a_value_or_a_one_line_error(text):
    for parse in (units.size, units.rate, units.duration):
        try:
            value, lines = parse(text), 1
        except UsageError as error:
            value, lines = 0, len(str(error).splitlines())
        assert 0 <= value < math.inf
        assert lines == 1


@given(st.integers(0, 2**53))
def test_bytes_survive(value):
    assert units.size(f"{value} B") == value
    assert units.size(f"{value} KiB") == value * 1024


@pytest.mark.parametrize(
    ("format_", "parse"),
    [(units.format_size, units.size), (units.format_rate, units.rate), (units.format_duration, units.duration)],
)
@given(value=st.floats(1.0, 1e15))
def test_what_is_formatted_parses_back_to_three_digits(format_, parse, value):
    text = format_(value)
    number, unit = text.split()
    assert float(number) * parse(f"1 {unit}") == pytest.approx(value, rel=6e-3)


@given(st.floats(0, 1e18), st.floats(0, 1e18))
def test_formatting_keeps_the_order_of_units(a, b):
    def unit(value):
        return ("B", "KiB", "MiB", "GiB", "TiB", "PiB").index(units.format_size(value).split()[1])

    assert (unit(a) <= unit(b)) or a > b


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (units.format_size(0), "0 B"),
        (units.format_size(2**20), "1 MiB"),
        (units.format_size(1023.9 * 2**20), "1 GiB"),
        (units.format_rate(125e6), "1 Gbit/s"),
        (units.format_duration(0), "0 s"),
        (units.format_duration(0.0123), "12.3 ms"),
        (units.format_duration(90), "90 s"),
        (units.format_duration(7200), "2 h"),
        (units.format_duration(math.inf), "never"),
        (units.format_duration(5.18e-8), "below 1 us"),
        (units.format_duration(9.99e-7), "below 1 us"),
        (units.format_duration(1e-6), "1 us"),
        (units.format_cost(5.18e-8), "51.8 ns"),
        (units.format_rate(math.nan), "nan"),
    ],
)
def test_formats(text, expected):
    assert text == expected


@given(st.integers(0, 2**50))
def test_pages_hold_the_bytes(memory_bytes):
    count = units.pages(memory_bytes)
    assert (count - 1) * units.PAGE_BYTES < memory_bytes <= count * units.PAGE_BYTES


@pytest.mark.parametrize(
    ("text", "pages"),
    [("12.6 GiB", 3_303_015), ("8.13 GiB", 2_131_231), ("0.3 KiB", 1), ("1.5 GB", 366_211)],
)
def test_what_tools_print_is_taken_to_the_next_page(text, pages):
    assert units.size(text, grain_bytes=4096) == 4096 * pages
    assert 0 <= 4096 * pages - float(text.split()[0]) * units.size(f"1 {text.split()[1]}") < 4096


@pytest.mark.parametrize(("text", "value"), [("12345 B", 12345), ("1 MB", 10**6), ("300 MB", 3 * 10**8)])
def test_a_whole_number_is_meant_as_it_stands(text, value):
    assert units.size(text, grain_bytes=4096) == value
