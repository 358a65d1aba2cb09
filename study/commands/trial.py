"""`mixco trial`: one trial on this machine. Only the runner ``train`` uses Ray."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from reports.store.address import is_uri, public
from study.commands import by_hand
from study.commands.completion import recipes, values_of
from trainables.config import TrialConfig, choices, parse_config, value_types
from trainables.errors import InputError
from trainables.own_parameters import Values

if TYPE_CHECKING:
    from trainables.on_ray.train import TrainTrial
    from trainables.trial import Trial

app = typer.Typer(add_completion=False)


def _option(name: str) -> inspect.Parameter:
    """The command-line option of a field of TrialConfig; None where it is not given."""
    field = TrialConfig.model_fields[name]
    kind: Any = value_types()[name]
    flag = f"--{name.replace('_', '-')}"
    allowed = f" ({', '.join(choices(name))})" if choices(name) else ""
    metavar = None
    if kind is Values:
        kind, metavar = list[str], "NAME=VALUE"
    elif kind is tuple:
        kind = list[str]
    elif kind is bool:
        flag += f"/--no-{flag.removeprefix('--')}"
    option = typer.Option(
        flag,
        help=f"{field.description}{allowed}",
        show_default=False if field.default in (None, (), Values()) else str(field.default),
        autocompletion=values_of(name),
        metavar=metavar,
        rich_help_panel="Configuration",
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, option],
    )


def _trial(
    config: Annotated[Path | None, typer.Option(help="YAML file with fields")] = None,
    recipe: Annotated[
        str,
        typer.Option(
            help="values of fields that are not given: fast, or paper (Kim et al. 2020)",
            autocompletion=recipes,
        ),
    ] = "fast",
    preset: Annotated[
        str | None, typer.Option(hidden=True, help="the former name of --recipe")
    ] = None,
    results: Annotated[
        str, typer.Option(help="results folder: one row for the trial, and its checkpoint")
    ] = by_hand.RESULTS,
    data: Annotated[Path | None, typer.Option(help="where data sets are kept")] = None,
    repeat: Annotated[
        str | None,
        typer.Option(
            metavar="TRIAL_ID", help="run a recorded trial again and compare; records nothing"
        ),
    ] = None,
    runner: Annotated[
        Literal["reused", "train"] | None,
        typer.Option(
            help="reused: in this process; train: on Ray Train's workers; default: reused for one "
            "worker, train for more",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, help="processes that share each batch, and this machine's CPUs")
    ] = 1,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="threads of this process on a CPU; default: one for each CPU it may use",
            show_default=False,
        ),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="print rows as JSON lines")] = False,
    **fields: Any,
) -> None:
    """Run one trial here: train an encoder, evaluate it on the test split, record the row.

    Give the same command again to continue an interrupted trial from its checkpoint.
    """
    from study.commands.trial_view import View

    given = {name: value for name, value in fields.items() if value is not None}
    if repeat:
        if given or config:
            raise InputError("--repeat: allows no configuration; the recorded one is used")
        if runner or workers > 1 or threads:
            raise InputError(
                "--repeat: allows no --runner, --workers or --threads; the recorded ones are used"
            )
        _repeat(repeat, results, data, View(json_))
        return
    if runner == "reused" and workers > 1:
        raise InputError(f"--runner: reused is for one worker, not {workers} (allowed: train)")
    if is_uri(results):
        raise InputError(
            f"--results {public(results)}: a trial keeps its checkpoint beside its row, in a "
            "local folder (with --repeat a URI is allowed)"
        )
    if threads and (workers > 1 or runner == "train"):
        raise InputError("--threads: for one worker with the runner reused; workers share the CPUs")
    how = How(runner or ("reused" if workers == 1 else "train"), workers, threads)
    _run(_resolve(given, config, preset or recipe), how, Path(results), data, View(json_))


def _resolve(given: dict[str, Any], file: Path | None, name: str) -> TrialConfig:
    """Options win over the file, the file over the recipe, the recipe over the defaults."""
    from study.yaml_files import load_yaml
    from trainables.own_objects import search_in
    from trainables.recipes import recipe

    values: dict[str, Any] = {}
    where = "options"
    if file:
        where = f"{file} and options"
        try:
            search_in(file.parent)  # for names like module:Name in it
            values = load_yaml(file.read_text(encoding="utf-8"), str(file))
        except OSError as error:
            raise InputError(f"--config {file}: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise InputError(
                f"--config {file}: not UTF-8 text ({error.reason} at byte {error.start})"
            ) from None
    if "own_parameters" in given:
        given = {**given, "own_parameters": _assigned(given["own_parameters"])}
    values |= given
    method = values.get("method", TrialConfig.model_fields["method"].default)
    return parse_config({**recipe(name, method), **values}, where)


def _assigned(given: list[str]) -> dict[str, Any]:
    """NAME=VALUE, each value read as in a YAML file."""
    from study.yaml_files import load_yaml

    found: dict[str, Any] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign or not name.isidentifier():
            raise InputError(f"--own-parameters {text}: NAME=VALUE is expected")
        found |= load_yaml(f"{name}: {value}", f"--own-parameters {text}")
    return found


class How(NamedTuple):
    """How a trial is run."""

    runner: str
    workers: int
    threads: int | None = None
    """Of each worker on a CPU; None: all workers share the CPUs that this process may use."""

    @contextlib.contextmanager
    def start(
        self, config: TrialConfig, split: str, data: Path | None
    ) -> Iterator[Trial | TrainTrial]:
        """The trial, with its workers for as long as it takes."""
        if self.runner == "train":
            from study.on_ray.local_workers import trial_on_workers

            how = (config, split, data, self.workers, self.threads)
            with trial_on_workers(*how) as trial_of_workers:
                yield trial_of_workers
            return
        import torch

        from study.commands.loading import loading
        from trainables.device.cpus import default_threads
        from trainables.trial import Trial

        torch.set_num_threads(self.threads or default_threads())
        with loading() as progress:
            trial = Trial(config, split=split, data_dir=data, loading=progress)  # type: ignore[arg-type]
        yield trial


def _run(config: TrialConfig, how: How, results: Path, data: Path | None, view: Any) -> None:
    from reports.store.schema import COMPLETE
    from reports.store.tables import open_store
    from study import local_trial
    from study.commands.interruption import Kept, reached
    from trainables.data.sources import find_source
    from trainables.data_dir import default_data_dir

    for name in (config.dataset, *config.eval_datasets):  # before the seconds that torch takes
        find_source(name, data or default_data_dir())
    trial_id = local_trial.identity(config)["trial_id"]
    store = open_store(results, create=True)
    if trial_id in store.ids():
        view.note(f"{trial_id} is recorded in {store.name} already; --repeat runs it again")
        view.result(local_trial.find(store, trial_id))
        return
    checkpoint = local_trial.checkpoint_path(results, trial_id)
    view.work_is_kept_in(results)
    with Kept(checkpoint, view) as kept, how.start(config, "test", data) as trial:
        checkpoint.parent.mkdir(parents=True, exist_ok=True)  # fail now, not after an epoch
        if checkpoint.exists():
            trial.restore(checkpoint)
            view.note(f"continuing after {reached(trial)} ({checkpoint})")
        kept.follow(trial)
        with view.progress(trial):
            row = local_trial.run(
                trial, store, checkpoint, kept.saved, kept.step, how.runner, kept.pause
            )
    view.result(row)
    if row["status"] != COMPLETE:
        view.note(f"{row['status']}: {row['error']}")
        raise typer.Exit(1)


def _repeat(trial_id: str, results: str, data: Path | None, view: Any) -> None:
    from reports.store.configs import config_of
    from reports.store.schema import COMPLETE
    from reports.store.tables import open_store
    from study import local_trial

    recorded = local_trial.find(open_store(results), trial_id)
    if recorded["status"] != COMPLETE:
        raise InputError(
            f"{trial_id}: is {recorded['status']}; only complete trials can be compared"
        )
    config = config_of(recorded)
    runner, workers = local_trial.recorded_how(recorded)
    how = How(runner, workers, local_trial.recorded_threads(recorded))
    with how.start(config, local_trial.recorded_split(recorded), data) as trial:
        if trial.data_fingerprint() != recorded["data_fingerprint"]:
            raise InputError(f"{trial_id}: the data set {config.dataset} has changed since then")
        with view.progress(trial):
            while not trial.done:
                view.epoch(trial.advance(view.step))
            again: dict[str, Any] = recorded | trial.finish().trial
    view.result(again)
    same = again["accuracy"] == recorded["accuracy"] and again["loss"] == recorded["loss"]
    view.note(
        f"accuracy {again['accuracy']:.4f}, recorded {recorded['accuracy']:.4f}: "
        + ("repeated exactly" if same else "differs")
    )
    if not same and again["hardware"] != recorded["hardware"]:
        view.note(f"recorded on {recorded['hardware']}, repeated on {again['hardware']}")


# Typer reads options from the signature; those of the configuration are TrialConfig's fields.
_signature = inspect.signature(_trial, eval_str=True)
_own = [p for p in _signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
_options = [_option(name) for name in TrialConfig.model_fields]
_trial.__signature__ = _signature.replace(parameters=[  # type: ignore[attr-defined]
    *(p.replace(kind=p.KEYWORD_ONLY) for p in _own), *_options
])  # fmt: skip
_annotations: dict[str, Any] = {option.name: option.annotation for option in _options}
_trial.__annotations__.update(_annotations)
app.command()(_trial)
