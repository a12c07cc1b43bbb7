"""Names of our code -> names of the public contract."""


def camel_case(name: str) -> str:
    """Return a snake_case name in camelCase."""
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))
