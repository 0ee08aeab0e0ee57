"""Processes that share the files of a run, on one machine or many: `accelerate launch -m sam2nb …`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from accelerate import PartialState

COUNTS = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")  # set by torchrun, by MPI
WITHOUT_NCCL = ("cpu", "mps")  # devices whose processes talk over the network, not over GPUs
PATIENCE = timedelta(days=30)  # for the others: one process may have far more to do than another
Item = TypeVar("Item")


@dataclass(frozen=True)
class Processes:
    """The processes of a run, seen from one of them. index: its number; the main process has 0."""

    index: int = 0
    count: int = 1
    state: PartialState | None = None

    @classmethod
    def join(cls, device: str | None) -> Processes:
        """Those that `accelerate launch` (or torchrun) started; a command on its own is the only one.

        device: of --device; "cpu" keeps GPUs out. Raises ValueError if there are several without accelerate, or without
        a way to find each other.
        """
        if all(int(os.environ.get(name, "1")) == 1 for name in COUNTS):
            return cls()
        from sam2nb.devices import pick_device

        try:
            from accelerate import PartialState
        except ImportError:
            raise ValueError("several processes need accelerate: pip install accelerate") from None
        state = PartialState(cpu=pick_device(device).type in WITHOUT_NCCL, timeout=PATIENCE)
        if state.num_processes == 1:
            raise ValueError("the processes do not know of each other: start them by accelerate launch or torchrun")
        return cls(state.process_index, state.num_processes, state)

    @property
    def is_main(self) -> bool:
        """Whether this is the process that begins and ends the run, and speaks for all."""
        return self.index == 0

    def device(self, chosen: str | None) -> str | None:
        """The device of this process: with several GPUs each has its own. chosen: of --device."""
        return chosen if self.state is None or (chosen or "").count(":") else str(self.state.device)

    def agree(self, make: Callable[[], Item]) -> Item:
        """Something that the main process makes, for all. An error of the main process is raised in all."""
        if self.state is None:
            return make()
        from accelerate.utils import broadcast_object_list

        outcome: list = [None, None]
        if self.is_main:
            try:
                outcome[0] = make()
            except (ValueError, OSError) as error:
                outcome[1] = error
        made, error = broadcast_object_list(outcome, from_process=0)
        if error is not None:
            raise error
        return made

    def share(self, items: Sequence[Item]) -> list[Item]:
        """The part of the items that this process works on."""
        if self.state is None:
            return list(items)
        with self.state.split_between_processes(list(items)) as own:
            return list(own)

    def wait(self) -> None:
        """Wait until all processes have come here."""
        if self.state is not None:
            self.state.wait_for_everyone()
