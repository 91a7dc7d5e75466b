"""The live screen, made with rich: a bar, the workers with their slots, and all groups."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from demo.progress import GroupState, Progress, WorkerState

_COLOURS = {"running": "black on green", "retry": "black on yellow", "cut off": "white on red"}
_FRAMES_PER_SECOND = 10


class Screen:
    """A display that redraws itself at each update; lines that stay scroll away above it."""

    def __init__(self, slots: int) -> None:
        """Start to draw.

        Args:
            slots: slots of each worker.
        """
        self._slots = slots
        self._next = 0.0
        self._console = Console(highlight=False)
        # Without a thread of rich's: `update` draws.
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._live.start()

    def say(self, text: str, style: str = "") -> None:
        """Show lines that stay, above the live part."""
        self._console.print(Text(text, style=style))

    def update(self, progress: Progress, total: int, seconds: float) -> None:
        """Draw, at most some times a second."""
        if seconds >= self._next:
            self._next = seconds + 1 / _FRAMES_PER_SECOND
            self._live.update(self._picture(progress, total, seconds), refresh=True)

    def freeze(self) -> None:
        """Remove the live part."""
        self._live.stop()

    def _picture(self, progress: Progress, total: int, seconds: float) -> RenderableType:
        return Group(Text(), _bar(progress, total, seconds), Text(), self._workers(progress), Text(), _groups(progress))

    def _workers(self, progress: Progress) -> Table:
        table = Table(box=None, padding=(0, 3, 0, 0), header_style="dim")
        table.add_column("worker")
        table.add_column("slots")
        table.add_column("runs", justify="right")
        table.add_column("retries", justify="right")
        for _, worker in sorted(progress.workers.items()):
            table.add_row(worker.name, self._dots(worker), str(worker.runs), str(worker.retries))
        return table

    def _dots(self, worker: WorkerState) -> Text:
        if worker.killed:
            return Text("killed", style="bold red")
        busy = len(worker.busy)
        return Text.assemble(("●" * busy, "green"), ("○" * (self._slots - busy), "dim"))


def _bar(progress: Progress, total: int, seconds: float) -> Table:
    line = Table.grid(padding=(0, 2, 0, 0))
    line.add_row(
        ProgressBar(total=total, completed=min(progress.done, total), width=24),
        f"{progress.done}/{total} done",
        f"{progress.parked} parked",
        f"{progress.busy} busy",
        f"{seconds:.1f} s",
    )
    return line


def _groups(progress: Progress) -> RenderableType:
    """Draw each group as the number of messages done, coloured by its state; a row per messaging instance."""
    table = Table.grid(padding=(0, 2, 0, 0))
    cells: dict[str, Text] = {}
    width = max([2, *(len(str(group.done)) for group in progress.groups.values())])
    for key, group in sorted(progress.groups.items()):
        cells.setdefault(key.partition(":")[0], Text()).append_text(_cell(group, width))
    for instance, cell in cells.items():
        table.add_row(Text(instance, style="dim"), cell)
    legend = Text.assemble(
        ("messages done per customer: ", "dim"),
        *((f" {state} ", colour) for state, colour in _COLOURS.items()),
    )
    return Group(table, legend) if cells else Text()


def _cell(group: GroupState, width: int) -> Text:
    style = _COLOURS.get(group.state, "" if group.sent > group.done else "dim")
    return Text.assemble((f"{group.done:>{width}}", style), " ")
