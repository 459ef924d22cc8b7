"""Numbers that are written as the file has them: with its digits, or as the name of a class."""

from __future__ import annotations


class Written(float):
    """A JSON number that keeps its digits, so that 1.10 stays 1.10 when it is converted to text."""

    digits: str

    def __new__(cls, digits: str) -> Written:
        number = super().__new__(cls, digits)
        number.digits = digits
        return number

    def __str__(self) -> str:
        return self.digits


class ClassNumber(int):
    """The number of a class, whose name the data set knows: an index that is written as the name."""

    name: str

    def __new__(cls, number: int, names: list[str]) -> ClassNumber:
        value = super().__new__(cls, number)
        value.name = names[number] if 0 <= number < len(names) else ""
        return value

    def __str__(self) -> str:
        return self.name or int.__repr__(self)
