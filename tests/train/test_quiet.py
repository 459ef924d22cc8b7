"""What libraries do while they are imported is kept small."""

from __future__ import annotations

from core.train.quiet_libraries import compile_at_first_call


def test_a_function_is_compiled_when_it_is_first_called_and_once():
    asked = []

    def compiles(function, **options):
        asked.append(options)
        return lambda *values, **named: ("compiled", function(*values, **named))

    double = compile_at_first_call(compiles)(lambda value, by=2: value * by, dynamic=False)
    assert asked == []
    assert [double(2), double(3, by=5)] == [("compiled", 4), ("compiled", 15)]
    assert asked == [{"dynamic": False}]
