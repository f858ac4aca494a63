"""Building packages: an IoT minimal profile (version 3.3) and a Full profile (version 2.3) from a recipe.

Must never import anything above floor 0.
"""

from __future__ import annotations

from keim.saip.building.full import full
from keim.saip.building.iot import iot_minimal, smallest
from keim.saip.package import Package
from keim.saip.recipe import Recipe
from keim.saip.refusals import BadRecipe

SHAPES = ("iot-minimal", "full")


def new(recipe: Recipe, shape: str = "iot-minimal", *, is_smallest: bool = False) -> Package:
    """A package of one of `SHAPES`. The smallest leaves out all that authentication does not need."""
    if shape == "iot-minimal":
        values = smallest(recipe) if is_smallest else iot_minimal(recipe)
    elif shape == "full" and not is_smallest:
        values = full(recipe)
    elif shape == "full":
        raise BadRecipe("only an IoT minimal profile can be the smallest", key="shape")
    else:
        raise BadRecipe(f"{shape!r} is none of {', '.join(SHAPES)}", key="shape")
    return Package.of(values)
