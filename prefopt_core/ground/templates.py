"""Jinja templates of our packages: one way to fill them, with every text escaped."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def templates_of(package: str, **more: Any) -> Environment:
    """The templates in the folder `templates` of a package, for HTML.

    Args:
        package: Its dotted name.
        more: Further settings of the environment.
    """
    return Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **more,
    )
