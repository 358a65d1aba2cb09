"""Fields of a configuration: each is declared once, and what depends on fields follows."""

from __future__ import annotations

import itertools
import subprocess
import sys
from typing import Any

import pytest

from search_spaces.spaces import SEARCHABLE, space
from study.commands.trial import _options
from trainables.arms import ARMS
from trainables.config import Role, TrialConfig, choices, fields_with, parse_config, value_types
from trainables.encoders import ENCODERS
from trainables.errors import InputError
from trainables.evaluation import PROBES
from trainables.methods import METHODS


@pytest.mark.parametrize("name", TrialConfig.model_fields)
def test_a_field_has_one_role_and_a_line_that_explains_it(name: str) -> None:
    field = TrialConfig.model_fields[name]
    assert len([marker for marker in field.metadata if isinstance(marker, Role)]) == 1
    assert field.description
    assert "\n" not in field.description
    default = field.default
    assert default is None or isinstance(default, value_types()[name])


def test_roles_say_what_names_a_cell_what_is_searched_and_what_a_machine_chooses() -> None:
    assert fields_with(Role.CELL) == ("dataset", "method", "arm", "encoder", "width")
    assert fields_with(Role.MACHINE) == ("device", "precision", "compile")
    assert SEARCHABLE == (
        "stem", "projection_dim", "temperature", "key_momentum", "queue_size", "mix_weight",
        "mix_alpha", "mix_temperature", "mix_batch_norm", "crop_scale",
        "colour_strength", "batch_size", "learning_rate", "sgd_momentum", "weight_decay",
        "warmup_epochs",
    )  # fmt: skip
    for method, arm in itertools.product(METHODS, ARMS):
        assert set(space(method, arm)) <= set(SEARCHABLE)


@pytest.mark.parametrize(
    ("name", "registry"),
    [("method", METHODS), ("arm", ARMS), ("encoder", ENCODERS), ("probe", PROBES)],
)
def test_names_are_those_of_the_registry_and_an_error_lists_them(name: str, registry: Any) -> None:
    assert choices(name) == tuple(registry)
    for allowed in registry:
        assert getattr(TrialConfig(**{name: allowed}), name) == allowed
    for wrong in ("nope", False, 3, ["moco"]):
        with pytest.raises(InputError) as caught:
            parse_config({name: wrong})
        said = str(caught.value)
        assert said.startswith(f"config: {name}: Input should be")
        assert all(repr(allowed) in said for allowed in registry)
        assert said.endswith(f", got {wrong!r}")
    with pytest.raises(InputError, match=f"config: {name}: is empty; give it a value"):
        parse_config({name: None})


def test_every_field_is_an_option_that_lists_its_choices() -> None:
    assert [option.name for option in _options] == list(TrialConfig.model_fields)
    for option in _options:
        help_text = option.annotation.__metadata__[0].help
        assert all(choice in help_text for choice in choices(option.name))


def test_a_configuration_and_the_search_spaces_need_no_torch() -> None:
    code = (
        "import sys\n"
        "import search_spaces, study.spec, trainables.recipes\n"
        "assert 'torch' not in sys.modules, 'torch was imported'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
