from study.store import CONFIG_FIELDS
from trainables.config import TrialConfig


def test_every_config_field_is_a_column_in_the_same_order() -> None:
    assert [name for name, _ in CONFIG_FIELDS] == list(TrialConfig.model_fields)
