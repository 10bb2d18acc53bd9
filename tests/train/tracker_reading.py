"""What trackers have kept, read back from their own files: `{(name, step): [values]}`, and the config."""

from __future__ import annotations

import json
import sqlite3
import struct
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Kept = dict[tuple[str, int], list[float]]


def read_tensorboard(folder: Path) -> tuple[Kept, dict[str, Any]]:
    import yaml
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    place = folder / "trackers" / "tensorboard"
    events = EventAccumulator(str(place), size_guidance={"scalars": 0})
    events.Reload()
    kept: Kept = defaultdict(list)
    for name in events.Tags()["scalars"]:
        for event in events.Scalars(name):
            kept[name, event.step].append(event.value)
    (config,) = place.glob("*/hparams.yml")  # one, whatever the number of sessions
    return kept, yaml.safe_load(config.read_text(encoding="utf-8"))


def read_wandb(folder: Path) -> tuple[Kept, dict[str, Any]]:
    """Offline, each session leaves a file under the same run's id; the newest has all of it."""
    from wandb.proto import wandb_internal_pb2

    kept: Kept = defaultdict(list)
    config: dict[str, Any] = {}
    files = sorted((folder / "trackers" / "wandb").glob("offline-run-*/*.wandb"))
    assert len({file.name for file in files}) == 1  # the run's id
    for content in _wandb_records(files[-1].read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(content)
        if record.WhichOneof("record_type") == "history":
            found = {"/".join([i.key, *i.nested_key]).strip("/"): i.value_json for i in record.history.item}
            step = int(found.pop("_step"))
            for name in found:
                if not name.startswith("_"):
                    kept[name, step].append(json.loads(found[name]))
        for update in [*record.config.update, *record.run.config.update]:
            if update.key and not update.key.startswith("_"):
                config[update.key] = json.loads(update.value_json)
    return kept, config


def _wandb_records(content: bytes) -> Iterator[bytes]:
    """The records of a LevelDB log: blocks of 32 KiB; a record is one chunk or several."""
    at, record = 7, b""
    while at < len(content):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        _, length, kind = struct.unpack_from("<IHB", content, at)
        if kind == 0:
            return
        record += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield record
            record = b""


def read_comet_ml(folder: Path) -> tuple[Kept, dict[str, Any]]:
    """Offline, each session leaves an archive of its own for the same experiment."""
    kept: Kept = defaultdict(list)
    config: dict[str, Any] = {}
    archives = sorted((folder / "trackers" / "comet_ml").glob("*.zip"), key=lambda p: p.stat().st_mtime_ns)
    assert len({archive.name[:32] for archive in archives}) == 1  # the experiment's key
    for archive in archives:
        for line in zipfile.ZipFile(archive).read("messages.json").splitlines():
            message = json.loads(line)["payload"]
            if metric := message.get("metric"):
                kept[metric["metricName"], metric["step"]].append(float(metric["metricValue"]))
            param = message.get("param")
            if param and param["paramName"] != "curr_step":  # comet's own
                assert param["paramName"] not in config
                config[param["paramName"]] = param["paramValue"]
    return kept, config


def read_mlflow(folder: Path) -> tuple[Kept, dict[str, Any]]:
    from mlflow import MlflowClient

    client = MlflowClient()
    experiment = client.get_experiment_by_name("taste")
    (run,) = (
        run
        for run in client.search_runs([experiment.experiment_id])
        if run.data.params["output"] == str(folder)
    )
    kept: Kept = defaultdict(list)
    for name in run.data.metrics:
        for metric in client.get_metric_history(run.info.run_id, name):
            kept[name, metric.step].append(metric.value)
    return kept, dict(run.data.params)


def read_trackio(folder: Path) -> tuple[Kept, dict[str, Any]]:
    from trackio.utils import TRACKIO_DIR

    kept: Kept = defaultdict(list)
    with sqlite3.connect(TRACKIO_DIR / "taste.db") as database:
        rows = database.execute("select run_id, config from configs").fetchall()
        ((run_id, config),) = [row for row in rows if json.loads(row[1])["output"] == str(folder)]
        for step, metrics in database.execute(
            "select step, metrics from metrics where run_id = ?", (run_id,)
        ):
            for name, value in json.loads(metrics).items():
                kept[name, step].append(value)
    return kept, json.loads(config)
