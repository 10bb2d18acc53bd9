"""Two hosts joined by a cable: network namespaces and a pair of virtual interfaces, found through rendezvous.

Each has a PALATE_HOME and a run folder's parent of its own, and nothing but the network between them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from several import largest_difference, train_in

from palate.recipe import write_recipe
from tiny_run import rows, tiny_recipe, write_rows

TORCHRUN = str(Path(sys.executable).parent / "torchrun")
ADDRESSES = ("10.231.7.1", "10.231.7.2")
UNEVEN = ("train.batch_size=5", "train.micro_batch_tokens=60")
PATIENCE_SECONDS = 60


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@pytest.fixture
def hosts() -> Iterator[tuple[str, str]]:
    """Names of two namespaces that reach each other at `ADDRESSES`, and nothing else."""
    if shutil.which("ip") is None:
        pytest.skip("no ip command here: iproute2 makes network namespaces")
    names = f"palate{os.getpid()}a", f"palate{os.getpid()}b"
    made: list[str] = []
    try:
        for name in names:
            ip("netns", "add", name)
            made.append(name)
        ip(
            "link",
            "add",
            "wire",
            "netns",
            names[0],
            "type",
            "veth",
            "peer",
            "name",
            "wire",
            "netns",
            names[1],
        )
        for name, address in zip(names, ADDRESSES, strict=True):
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "wire")
            ip("-n", name, "link", "set", "wire", "up")
            ip("-n", name, "link", "set", "lo", "up")
    except subprocess.CalledProcessError as error:
        for name in made:
            ip("netns", "del", name)
        pytest.skip(f"network namespaces cannot be made here: {error.stderr.strip()}")
    yield names
    for name in names:
        ip("netns", "del", name)


def start(host: str, number: int, recipe: Path, home: Path) -> subprocess.Popen[str]:
    rendezvous = ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"{ADDRESSES[0]}:29431", "--rdzv-id", "palate"]
    # No names are known there: each says by which address it is reached, and who keeps the rendezvous.
    found = ["--local-addr", ADDRESSES[number], "--rdzv-conf", f"is_host={1 - number},timeout=60"]
    command = [TORCHRUN, "--nnodes", "2", "--nproc-per-node", "1", *rendezvous, *found, "-m", "palate"]
    return subprocess.Popen(
        ["ip", "netns", "exec", host, *command, "train", str(recipe)],
        env=os.environ | {"PALATE_HOME": str(home), "GLOO_SOCKET_IFNAME": "wire"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def train_on_two_hosts(folder: Path, base: Path, hosts: tuple[str, str], *overrides: str) -> Path:
    """Each host has its own copy of base and data; the run folder of the one that is the main process's."""
    outputs = []
    started = []
    for number, host in enumerate(hosts):
        own = folder / f"host{number}"
        shutil.copytree(base, own / "base")
        data = write_rows(own / "pairs.jsonl", rows(13))
        write_recipe(tiny_recipe(own, own / "base", *overrides, data=data), own / "recipe.yaml")
        started.append(start(host, number, own / "recipe.yaml", own / "home"))
        outputs.append(own / "run")
    try:
        said = [host.communicate(timeout=PATIENCE_SECONDS)[0] for host in started]
    finally:
        for host in started:
            host.kill()
    assert [host.returncode for host in started] == [0, 0], "\n---\n".join(said)
    for number in range(len(hosts)):
        assert list((folder / f"host{number}" / "home" / "reference").glob("*.sqlite"))
    (main,) = [output for output in outputs if output.exists()]
    return main


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        pytest.param(("model.adapter=null", "parallel=fsdp2"), marks=pytest.mark.thorough),
    ],
    ids=["ddp", "fsdp2"],
)
def test_two_hosts_equal_one(
    tmp_path: Path, base: Path, hosts: tuple[str, str], overrides: tuple[str, ...]
) -> None:
    two = train_on_two_hosts(tmp_path, base, hosts, *UNEVEN, *overrides)
    data = write_rows(tmp_path / "pairs.jsonl", rows(13))
    alone = [override for override in overrides if not override.startswith("parallel")]
    one = train_in(1, tiny_recipe(tmp_path, base, *UNEVEN, *alone, name="one", data=data))
    difference, where = largest_difference(two, one)
    assert difference < 1e-5, where
